// The promises on real networks: one result for both kernel sets, any number of threads and any
// batch; the accuracy that the float network has; the same Plan for any number of threads. Needs
// MEZZO_SHARED_DATA.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "mezzo/algorithm/apply_plan.h"
#include "mezzo/algorithm/int8_workflow.h"
#include "mezzo/evaluate/evaluator.h"
#include "mezzo/import/onnx_reader.h"
#include "mezzo/runtime/lower.h"

namespace mezzo {
namespace {

namespace fs = std::filesystem;

struct Case {
  const char *model, *data, *preprocess;
};

class RealModel : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const char* root = std::getenv("MEZZO_SHARED_DATA");
    if (!root || !fs::exists(root))
      GTEST_SKIP() << "MEZZO_SHARED_DATA does not name a folder of real models";
    const fs::path folder = root;
    model_ = ReadOnnx(folder / GetParam().model);
    std::optional<Preprocess> preprocess;
    if (*GetParam().preprocess) preprocess = LoadPreprocess(GetParam().preprocess);
    data_ = OpenDataset(folder / GetParam().data, model_.graph.inputs, preprocess);
  }

  Int8Result Quantize(size_t threads) {
    const DataSplit split = Split(*data_, 24, 200, 1);
    const Model prepared = PrepareFloat(model_);
    Evaluator evaluator(*data_, split.evaluation, "classify", {}, &prepared.graph,
                        Threads(threads));
    Int8Task task;
    task.calibration = [&](size_t i) { return data_->Get(split.calibration[i]).inputs; };
    task.calibration_count = split.calibration.size();
    task.metric_name = "classify";
    task.metric = [&](const Graph& g) { return Measured{evaluator.Run(g).result.value, NAN}; };
    task.loss = [](double f, double q) { return (f - q) / f; };
    task.distortion = DistortionKind::kKlLogits;
    Int8Options options;
    options.calibration = "percentile:99.999";
    options.tolerance = 0.02;  // 200 samples: one is half a percent
    options.threads = Threads(threads);
    return QuantizeInt8(model_, task, options);
  }

  Model model_;
  std::unique_ptr<Dataset> data_;
};

bool SameBits(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i].shape() != b[i].shape() || std::memcmp(a[i].raw(), b[i].raw(), a[i].bytes()) != 0)
      return false;
  return true;
}

// Samples side by side along axis 0.
TensorMap Batch(const std::vector<TensorMap>& samples) {
  TensorMap batch;
  for (const auto& [name, first] : samples[0]) {
    Shape shape = first.shape();
    shape[0] = static_cast<int64_t>(samples.size());
    Tensor t(first.dtype(), shape);
    for (size_t i = 0; i < samples.size(); ++i)
      std::memcpy(static_cast<char*>(t.raw()) + i * first.bytes(), samples[i].at(name).raw(),
                  first.bytes());
    batch[name] = t;
  }
  return batch;
}

TEST_P(RealModel, Int8KeepsTheAccuracyAndItsBits) {
  const Int8Result r = Quantize(2);
  EXPECT_TRUE(r.within_tolerance) << r.plan.float_metric << " -> " << r.metric;
  EXPECT_EQ(ToJson(Quantize(1).plan), ToJson(r.plan))
      << "the Plan depends on the number of threads";

  std::vector<TensorMap> samples;
  for (size_t i = 0; i < 3; ++i) samples.push_back(data_->Get(i * 7).inputs);
  const Graph graphs[] = {r.prepared.graph, LowerToIntegers(r.quantized.graph, nullptr)};
  for (const Graph& graph : graphs) {
    SCOPED_TRACE(&graph == &graphs[0] ? "float" : "int8");
    const Session one(graph, {});
    const auto batch = one.Run(Batch(samples));
    for (size_t i = 0; i < samples.size(); ++i) {
      const auto want = one.Run(samples[i]);
      EXPECT_TRUE(
          SameBits(Session(graph, {Threads(1), KernelSet::kReference}).Run(samples[i]), want))
          << "plain loops";
      for (const size_t threads : {2, 3})
        EXPECT_TRUE(SameBits(Session(graph, {Threads(threads)}).Run(samples[i]), want))
            << threads << " threads";
      for (size_t o = 0; o < want.size(); ++o)
        EXPECT_EQ(std::memcmp(static_cast<const char*>(batch[o].raw()) + i * want[o].bytes(),
                              want[o].raw(), want[o].bytes()),
                  0)
            << "sample " << i << " of a batch";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Networks, RealModel,
    testing::Values(Case{"models/resnet20_cifar10.onnx", "images/cifar10", "cifar10"},
                    Case{"models/kws_dscnn.onnx", "audio/kws.npz", ""},
                    Case{"models/squeezenet1_1.onnx", "images/imagenet1000", "imagenet"},
                    Case{"models/efficientnet_lite0.onnx", "images/imagenet1000", "imagenet-lite"}),
    [](const auto& info) { return fs::path(info.param.model).stem().string(); });

}  // namespace
}  // namespace mezzo
