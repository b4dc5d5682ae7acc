#include "mezzo/algorithm/pack_weights.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "mezzo/algorithm/apply_plan.h"
#include "mezzo/algorithm/round_layers.h"
#include "mezzo/algorithm/sites.h"
#include "mezzo/import/onnx_reader.h"
#include "mezzo/import/onnx_writer.h"
#include "mezzo/runtime/fold_constants.h"
#include "mezzo/runtime/lower.h"
#include "mezzo/runtime/session.h"
#include "mezzo/tensor/normal_test.h"

namespace mezzo {
namespace {

// The int8 tensor that a packed weight's nodes make.
Tensor Unpack(const PackedWeight& packed, const std::string& output) {
  Graph graph;
  graph.nodes = packed.nodes;
  graph.initializers = packed.own;
  graph.initializers.insert(packed.shared.begin(), packed.shared.end());
  graph.outputs = {{output}};
  return Session(graph, {}).Run({})[0];
}

struct Layer {
  Node node;
  Shape shape;
};

// Sizes that fill bytes and sizes that do not; all layouts.
std::vector<Layer> Layers() {
  Node conv{"Conv", "", "conv", {"x", "w"}, {"y"}, {}},
      depthwise = conv, gemm{"Gemm", "", "gemm", {"x", "w"}, {"y"}, {{"transB", int64_t{1}}}},
      matmul{"MatMul", "", "matmul", {"x", "w"}, {"y"}, {}};
  depthwise.attributes["group"] = int64_t{7};
  return {{conv, {5, 3, 3, 3}},      {conv, {6, 32, 3, 3}}, {conv, {3, 48, 1, 1}},
          {depthwise, {7, 1, 3, 3}}, {gemm, {9, 25}},       {gemm, {4, 64}},
          {matmul, {27, 5}},         {matmul, {32, 3}},     {conv, {1, 1, 1, 1}}};
}

TEST(PackWeight, UnpacksToTheSameWeightsInEveryFormatAndLayout) {
  for (const WeightFormat& f : AllWeightFormats())
    for (const Layer& layer : Layers())
      for (const int64_t asked : {0, 16, 25}) {
        if (!f.narrow()) continue;
        const Tensor weight = NormalTensor(layer.shape, 3);
        const int64_t group = GroupSize(layer.node, weight, f, asked);
        const NarrowWeights q =
            QuantizeWeights(layer.node, weight, f, group, true, nullptr, Threads(2));
        const Tensor w8 = Tensor::Of(q.codes, layer.shape);
        const WeightRows rows(layer.node, w8);
        const PackedWeight packed = PackWeight(rows, w8, f, group, q.steps, "z0", "z", "out");
        const Tensor got = Unpack(packed, "out");
        ASSERT_EQ(got.dtype(), DType::kInt8);
        ASSERT_EQ(got.shape(), layer.shape);
        for (int64_t i = 0; i < w8.numel(); ++i)
          ASSERT_EQ(got.data<int8_t>()[i], q.codes[i])
              << f.name << " " << ToString(layer.shape) << " " << group << " " << i;
        size_t bits = 0;
        for (const auto& [name, t] : packed.own)
          if (IsPacked(t.dtype())) bits += 8 * t.bytes();
        const size_t codes = static_cast<size_t>(w8.numel() * f.bits);
        EXPECT_GE(bits, codes + 4 * q.steps.size());
        EXPECT_LE(bits, codes + 4 * q.steps.size() + 32);
      }
}

TEST(PackWeight, RefusesWhatIsNoLevel) {
  const Layer layer = Layers()[5];
  Tensor w8 = Tensor::Zeros(DType::kInt8, layer.shape);  // nf4 has no zero
  const WeightRows rows(layer.node, w8);
  const WeightFormat& nf4 = *FindWeightFormat("nf4");
  EXPECT_THROW(PackWeight(rows, w8, nf4, 0, {}, "z", "z", "out"), UsageError);
  for (const int8_t v : {int8_t{-128}, int8_t{127}}) {
    w8.data<int8_t>()[0] = v;
    EXPECT_THROW(PackWeight(rows, w8, nf4, 0, {}, "z", "z", "out"), UsageError);
  }
}

// x -> conv a -> relu -> depthwise b -> conv c -> flatten -> gemm d -> y
Model Network() {
  Model m;
  Graph& g = m.graph;
  g.inputs = {{"x", DType::kFloat32, {1, 3, 6, 6}, {}, true}};
  g.outputs = {{"y", DType::kFloat32, {}, {}, false}};
  g.initializers = {{"wa", NormalTensor({16, 3, 3, 3}, 1)},
                    {"wb", NormalTensor({16, 1, 3, 3}, 2)},
                    {"wc", NormalTensor({32, 16, 3, 3}, 3)},
                    {"wd", NormalTensor({128, 5}, 4)},
                    {"bias", NormalTensor({32}, 5)}};
  g.nodes = {{"Conv", "", "a", {"x", "wa"}, {"ya"}, {}},
             {"Relu", "", "relu", {"ya"}, {"r"}, {}},
             {"Conv",
              "",
              "b",
              {"r", "wb"},
              {"yb"},
              {{"group", int64_t{16}}, {"pads", std::vector<int64_t>{1, 1, 1, 1}}}},
             {"Conv", "", "c", {"yb", "wc", "bias"}, {"yc"}, {}},
             {"Flatten", "", "flat", {"yc"}, {"f"}, {}},
             {"Gemm", "", "d", {"f", "wd"}, {"y"}, {}}};
  return m;
}

Plan PlanFor(const Graph& g, const WeightFormat& format, int64_t group) {
  Plan p;
  for (const char* name : {"a", "b", "c", "d"}) p.nodes[name].quantized = true;
  for (const auto& [value, root] : FindSites(g, p.QuantizedNodes()).root)
    p.activations[root] = {{0.05f, 128}, -6.4f, 6.35f, true, "max"};
  RoundLayers(g, {&format, group}, {}, {}, p);
  return p;
}

Tensor OutputOf(const Graph& graph) {
  return Session(graph, {}).Run({{"x", NormalTensor({1, 3, 6, 6}, 9)}})[0];
}

TEST(PackWeights, TheFileThatIsReadBackRunsBitForBitAsWhatWasJudged) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / "mezzo_pack_weights_test.onnx";
  for (const WeightFormat& f : AllWeightFormats())
    for (const int64_t group : {0, 16}) {
      const Model m = Network();
      const Plan plan = PlanFor(m.graph, f, group);
      Model q = ApplyPlan(m, PlanFromJson(ToJson(plan), "plan"));
      const Tensor want = OutputOf(LowerToIntegers(q.graph, nullptr));
      PackWeights(q, plan);
      WriteOnnx(q, path);
      Model read = ReadOnnx(path);
      const Tensor unfolded = OutputOf(LowerToIntegers(read.graph, nullptr));
      FoldConstants(read.graph);
      LowerReport report;
      const Graph lowered = LowerToIntegers(read.graph, &report);
      EXPECT_TRUE(report.kept.empty()) << f.name;
      const Tensor got = OutputOf(lowered);
      ASSERT_EQ(got.numel(), want.numel());
      for (int64_t i = 0; i < got.numel(); ++i) {
        EXPECT_EQ(got.data<float>()[i], want.data<float>()[i]) << f.name;
        EXPECT_EQ(unfolded.data<float>()[i], want.data<float>()[i]) << f.name;
      }
      for (const auto& [name, t] : lowered.initializers)  // weights stay bytes
        EXPECT_LE(t.bytes(), static_cast<size_t>(32 * 16 * 9)) << name;
    }
  std::filesystem::remove(path);
}

TEST(PackWeights, BytesAreForeseenExactly) {
  const Model m = Network();
  const WeightFormat& int8 = *FindWeightFormat("int8");
  const Plan plain = PlanFor(m.graph, int8, 0);
  const Model unpacked = ApplyPlan(m, plain);
  const auto base = static_cast<int64_t>(OnnxBytes(unpacked.graph));
  for (const WeightFormat& f : AllWeightFormats())
    for (const int64_t asked : {0, 16}) {
      const Plan plan = PlanFor(m.graph, f, asked);
      Model packed = ApplyPlan(m, plan);
      PackWeights(packed, plan);
      int64_t bytes = base;
      std::map<std::string, int64_t> shared;
      for (const auto& [layer, node] : plan.nodes) {
        PackedBytes added = BytesOfPacked(unpacked, plain, layer, f, node.group_size);
        bytes += added.own;
        shared.merge(added.shared);
      }
      for (const auto& [name, size] : shared) bytes += size;
      EXPECT_EQ(static_cast<int64_t>(OnnxBytes(packed.graph)), bytes) << f.name << " " << asked;
    }
}

TEST(OnnxBytes, IsTheSizeOfTheFile) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / "mezzo_onnx_bytes_test.onnx";
  const Model m = Network();
  WriteOnnx(m, path);
  EXPECT_EQ(OnnxBytes(m), std::filesystem::file_size(path));
  std::filesystem::remove(path);
}

TEST(PackWeights, AScaleThatIsRaisedForItsBiasKeepsLevels) {
  const Model m = Network();
  Plan plan = PlanFor(m.graph, *FindWeightFormat("nf4"), 16);
  Model heavy = m;
  heavy.graph.initializers["bias"] = Tensor::Of(std::vector<float>(32, 1e9f), {32});
  std::vector<std::string> notes;
  Model q = ApplyPlan(heavy, plan, &notes);
  EXPECT_EQ(notes.size(), 1u);
  PackWeights(q, plan);
}

TEST(PackWeights, NamesALayerWhoseCodesOrStepsDoNotFit) {
  const Model m = Network();
  const Plan good = PlanFor(m.graph, *FindWeightFormat("nf4"), 16);
  const auto fails = [&](auto change) {
    Plan plan = good;
    change(plan.nodes.at("c"));
    try {
      Model q = ApplyPlan(m, plan);
      PackWeights(q, plan);
      return std::string("accepted");
    } catch (const UsageError& e) {
      return std::string(e.what());
    }
  };
  const auto has = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  EXPECT_TRUE(has(fails([](NodePlan& n) { n.group_size = 15; }), "groups of 15"));
  EXPECT_TRUE(has(fails([](NodePlan& n) { n.weight_steps.pop_back(); }), "weight steps"));
  EXPECT_TRUE(has(fails([](NodePlan& n) { n.weight_codes[3] = 65; }), "no level of nf4"));
  EXPECT_TRUE(has(fails([](NodePlan& n) { n.weight_format = "nf9"; }), "nf9"));
  EXPECT_TRUE(has(fails([](NodePlan& n) { n.weight_codes.clear(); }), "accepted"));
}

}  // namespace
}  // namespace mezzo
