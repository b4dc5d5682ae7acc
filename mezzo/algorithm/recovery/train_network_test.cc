#include "mezzo/algorithm/recovery/train_network.h"

#include <gtest/gtest.h>

#include <cmath>

#include "mezzo/algorithm/int8_workflow.h"
#include "mezzo/algorithm/recovery/network_paths.h"
#include "mezzo/base/files.h"
#include "mezzo/import/llm/adapters.h"
#include "mezzo/runtime/ops/one_op_test.h"
#include "mezzo/tensor/normal_test.h"

namespace mezzo {
namespace {

constexpr auto kKl = DistortionKind::kKlLogits, kRelative = DistortionKind::kRelativeError;

TensorMap Sample(size_t i) {
  return {{"x", NormalTensor({1, 3, 6, 6}, 100 + static_cast<unsigned>(i))}};
}

// x (1, 3, 6, 6) -> "first", 3 to 16 channels -> y; with `whole` -> Relu -> "second", 16 to 16
// -> Relu -> mean over pixels -> "matrix", 16 to 5 -> y
Model Net(bool whole) {
  Model model;
  model.opset = 21;
  Graph& g = model.graph;
  g.inputs = {{"x", DType::kFloat32, {1, 3, 6, 6}, {}, true}};
  const auto add = [&](const char* op, const char* name, const char* x, const Shape& weight) {
    Node node{op, "", name, {x}, {std::string(name) + "_out"}, {}};
    if (!weight.empty()) {
      node.inputs.push_back(std::string(name) + "_weight");
      g.initializers[node.inputs[1]] =
          NormalTensor(weight, 1 + static_cast<unsigned>(g.nodes.size()));
    }
    g.nodes.push_back(node);
  };
  add("Conv", "first", "x", {16, 3, 3, 3});
  if (whole) {
    add("Relu", "relu", "first_out", {});
    add("Conv", "second", "relu_out", {16, 16, 3, 3});
    add("Relu", "again", "second_out", {});
    add("GlobalAveragePool", "pool", "again_out", {});
    add("Flatten", "flat", "pool_out", {});
    add("MatMul", "matrix", "flat_out", {16, 5});
    for (float& v : g.initializers.at("matrix_weight").span<float>()) v /= 20;
  }
  g.outputs = {{g.nodes.back().outputs[0], DType::kFloat32}};
  return model;
}

// In `weights`, rounded to nearest, with paths of rank 4.
Int8Result Quantized(bool whole, DistortionKind kind, const char* weights,
                     const NetworkTraining& training = {}) {
  Int8Task task;
  task.calibration = Sample;
  task.calibration_count = 96;
  task.metric = [](const Graph&) { return Measured{1, NAN}; };
  task.loss = [](double, double) { return 0.0; };
  task.distortion = kind;
  Int8Options options;
  options.calibration = "max";
  options.equalize = options.correct_rounding = options.correct_bias = false;
  options.weights = {FindWeightFormat(weights), 0, {4, 0, PathFit::kUnit}};
  options.training = training;
  options.threads = training.threads;
  return QuantizeInt8(Net(whole), task, options);
}

NetworkTraining Training() {
  NetworkTraining t;
  t.samples = 64;
  t.first_held_out = 64;
  t.held_out = 32;
  t.epochs = 4;
  return t;
}

LowRanks PathsOf(const Plan& plan) {
  LowRanks paths;
  for (const auto& [layer, node] : plan.nodes)
    if (plan.HasPath(layer)) paths[layer] = node.path;
  return paths;
}

bool SamePaths(const LowRanks& a, const LowRanks& b) {
  return a.size() == b.size() && std::ranges::all_of(a, [&](const auto& named) {
           const LowRank& other = b.at(named.first);
           return SameBits(named.second.a, other.a) && SameBits(named.second.b, other.b);
         });
}

// The gradient by a layer's A and B against differences. Behind the layer nothing is rounded to
// codes: the relative error is a square of each element, and its difference exact but for what
// float32 rounds in outputs, 1e-7 / step of the loss; KL's third derivative adds step^2 of itself.
void CheckGradient(bool whole, DistortionKind kind, const std::string& layer) {
  const Int8Result r = Quantized(whole, kind, "int2");
  NetworkTraining one = Training();
  one.first_held_out = 0;
  one.held_out = 1;
  const SampleFn sample = Sample;
  const auto loss = LossOfNetwork(r.prepared, r.plan, kind, sample, one);
  const LowRanks paths = PathsOf(r.plan);
  Adam matrices;
  for (const auto& [name, path] : paths) {
    matrices.Add(name + kPathA, path.a);
    matrices.Add(name + kPathB, path.b);
  }
  loss->AddGradients(paths, {0}, matrices);
  for (const bool a : {true, false}) {
    const std::span<const float> got = matrices.Gradient(layer + (a ? kPathA : kPathB));
    for (size_t i = 0; i < got.size(); i += 5) {
      const auto moved = [&](float by) {
        LowRanks m = paths;
        Tensor& t = a ? m.at(layer).a : m.at(layer).b;
        t = t.Clone();
        t.data<float>()[i] += by;
        return loss->HeldOut(m);
      };
      const double want = (moved(2e-3f) - moved(-2e-3f)) / 4e-3;
      EXPECT_NEAR(got[i], want, 1e-4 + 2e-3 * std::fabs(want)) << layer << " " << a << " " << i;
    }
  }
}

TEST(TrainNetwork, GradientsAreThoseOfTheLoss) {
  CheckGradient(false, kRelative, "first");
  CheckGradient(true, kRelative, "matrix");
  CheckGradient(true, kKl, "matrix");
}

// Every layer gets a gradient, through the activations' codes.
TEST(TrainNetwork, ReachesAllLayers) {
  const Int8Result r = Quantized(true, kKl, "int2");
  const SampleFn sample = Sample;
  const NetworkTraining t = Training();
  const auto loss = LossOfNetwork(r.prepared, r.plan, kKl, sample, t);
  Adam matrices;
  const LowRanks paths = PathsOf(r.plan);
  for (const auto& [name, path] : paths) {
    matrices.Add(name + kPathA, path.a);
    matrices.Add(name + kPathB, path.b);
  }
  loss->AddGradients(paths, {0, 1}, matrices);
  ASSERT_EQ(paths.size(), 3U);
  for (const auto& [name, path] : paths)
    for (const char* matrix : {kPathA, kPathB}) {
      double sum = 0;
      for (const float g : matrices.Gradient(name + matrix)) sum += std::fabs(g);
      EXPECT_GT(sum, 0) << name << matrix;
    }
}

// What was told of the best is what the plan's paths give, whatever the number of threads.
TEST(TrainNetwork, LowersTheLoss) {
  for (const DistortionKind kind : {kKl, kRelative}) {
    NetworkTraining t = Training();
    std::vector<double> losses;
    t.epoch_done = [&](size_t, double loss) { losses.push_back(loss); };
    const Int8Result one = Quantized(true, kind, "int2", t);
    ASSERT_GE(losses.size(), 2U);
    const double best = *std::ranges::min_element(losses);
    EXPECT_LT(best, 0.7 * losses[0]);
    const SampleFn sample = Sample;
    EXPECT_EQ(LossOfNetwork(one.prepared, one.plan, kind, sample, t)->HeldOut(PathsOf(one.plan)),
              best);
    t.threads = Threads(2);
    EXPECT_EQ(ToJson(Quantized(true, kind, "int2", t).plan), ToJson(one.plan));
  }
}

TEST(TrainNetwork, GoesOnFromItsState) {
  const TemporaryFolder folder;
  const Int8Result r = Quantized(true, kRelative, "int2");
  NetworkTraining t = Training();
  const auto train = [&] { return TrainPaths(r.prepared, r.plan, kRelative, Sample, t); };
  const LowRanks whole = train();
  t.state = folder.path() / "state";
  size_t samples = 0, epochs = 0;
  t.step = [&] {
    if (++samples == 2 * t.samples + 8) throw std::runtime_error("stopped");
  };
  EXPECT_THROW(train(), std::runtime_error);
  t.step = {};
  t.epoch_done = [&](size_t, double) { ++epochs; };
  EXPECT_TRUE(SamePaths(train(), whole));
  EXPECT_EQ(epochs, 2U);  // the first two were there
  t.rate *= 2;
  EXPECT_THROW(train(), UsageError);  // another job
  WriteFile(t.state, "no state");
  EXPECT_THROW(train(), FileError);
}

TEST(TrainNetwork, RefusesWhatItCannotTrain) {
  Int8Result r = Quantized(true, kRelative, "int2");
  const auto train = [&](const NetworkTraining& t) {
    TrainPaths(r.prepared, r.plan, kRelative, Sample, t);
  };
  NetworkTraining t = Training();
  t.held_out = 0;
  EXPECT_THROW(train(t), UsageError);
  t = Training();
  t.batch = 0;
  EXPECT_THROW(train(t), UsageError);
  // an operator without a gradient behind a path
  Graph& g = r.prepared.graph;
  g.nodes.push_back({"Round", "", "rounds", {g.outputs[0].name}, {"rounded"}, {}});
  g.outputs[0].name = "rounded";
  try {
    train(Training());
    FAIL();
  } catch (const UsageError& e) {
    EXPECT_NE(std::string(e.what()).find("rounds (Round)"), std::string::npos) << e.what();
  }
  for (auto& [name, node] : r.plan.nodes) node.path = {};
  EXPECT_THROW(train(Training()), UsageError);
}

}  // namespace
}  // namespace mezzo
