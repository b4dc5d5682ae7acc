#include "mezzo/algorithm/recovery/network_paths.h"

#include <gtest/gtest.h>

#include <cmath>

#include "mezzo/algorithm/apply_plan.h"
#include "mezzo/algorithm/round_layers.h"
#include "mezzo/runtime/session.h"
#include "mezzo/tensor/arithmetic.h"
#include "mezzo/tensor/normal_test.h"

namespace mezzo {
namespace {

// x (2, 6, 9, 9) -> conv, 3x3, strides 2, dilations 1, pads 1 -> y
Graph ConvNet() {
  Graph g;
  g.inputs = {{"x", DType::kFloat32, {2, 6, 9, 9}, {}, true}};
  g.outputs = {{"y", DType::kFloat32}};
  g.initializers["w"] = NormalTensor({20, 6, 3, 3}, 1);
  g.initializers["b"] = NormalTensor({20}, 2);
  g.nodes.push_back(
      {"Conv",
       "",
       "layer",
       {"x", "w", "b"},
       {"y"},
       {{"strides", std::vector<int64_t>{2, 2}}, {"pads", std::vector<int64_t>{1, 1, 1, 1}}}});
  return g;
}

// x (5, 30) -> Gemm or MatMul -> y
Graph RowsNet(const std::string& op, bool transposed) {
  Graph g;
  g.inputs = {{"x", DType::kFloat32, {5, 30}, {}, true}};
  g.outputs = {{"y", DType::kFloat32}};
  g.initializers["w"] = NormalTensor(transposed ? Shape{24, 30} : Shape{30, 24}, 3);
  g.nodes.push_back({op, "", "layer", {"x", "w"}, {"y"}, {}});
  if (transposed) g.nodes[0].attributes["transB"] = int64_t{1};
  return g;
}

std::vector<Graph> Nets() {
  return {ConvNet(), RowsNet("MatMul", false), RowsNet("Gemm", false), RowsNet("Gemm", true)};
}

Tensor Output(const Graph& g, const Tensor& x) { return Session(g, {}).Run({{"x", x}})[0]; }

Plan PlanOf(const Graph& g) {
  Plan plan;
  plan.nodes["layer"].quantized = true;
  plan.activations["x"].qparams = {0.05f, 128};
  plan.activations["y"].qparams = {0.5f, 128};
  SetWeights(plan.nodes["layer"], *FindWeightFormat("int8"), 0,
             QuantizeWeights(g.nodes[0], g.initializers.at("w"), *FindWeightFormat("int8"), 0, true,
                             nullptr, {}));
  return plan;
}

// With a path of full rank the sum is the float layer, whatever the codes.
TEST(NetworkPaths, OfFullRankGiveTheLayerBack) {
  for (const Graph& g : Nets()) {
    const Node& node = g.nodes[0];
    const Tensor& w = g.initializers.at("w");
    const WeightFormat& format = *FindWeightFormat("int2");
    Plan plan = PlanOf(g);
    RoundedWithPath r = QuantizeWithPath(node, w, format, 0, true, nullptr, {64, 0}, {});
    Graph coded = g;
    coded.initializers["w"] = DequantizeWeights(node, w, r.q);
    plan.nodes["layer"].path = r.path;
    const Tensor x = NormalTensor(g.inputs[0].shape, 7);
    const Tensor wanted = Output(g, x), without = Output(coded, x);
    AddPaths(coded, plan);
    const Tensor with = Output(coded, x);
    double left = 0, noise = 0;
    for (int64_t i = 0; i < wanted.numel(); ++i) {
      left += std::pow(with.data<float>()[i] - wanted.data<float>()[i], 2);
      noise += std::pow(without.data<float>()[i] - wanted.data<float>()[i], 2);
    }
    EXPECT_LT(left, 1e-4 * noise) << node.op_type;  // bfloat16
  }
}

// Each alternation that is kept leaves less, and any path leaves less than none.
TEST(NetworkPaths, AlternationsLeaveLess) {
  for (const Graph& g : Nets()) {
    const Node& node = g.nodes[0];
    const Tensor& w = g.initializers.at("w");
    const auto left = [&](int64_t rank, int alternations) {
      const RoundedWithPath r = QuantizeWithPath(node, w, *FindWeightFormat("nf3"), 0, true,
                                                 nullptr, {rank, alternations}, {});
      Graph coded = g;
      coded.initializers["w"] = DequantizeWeights(node, w, r.q);
      Plan plan = PlanOf(g);
      plan.nodes["layer"].path = r.path;
      AddPaths(coded, plan);
      const Tensor x = NormalTensor(g.inputs[0].shape, 8);
      const Tensor d = Difference(Output(coded, x), Output(g, x));
      double sum = 0;
      for (const float v : d.span<float>()) sum += double(v) * v;
      return sum;
    };
    const double one = left(1, 0), four = left(4, 0), again = left(4, 3);
    EXPECT_LT(four, one) << node.op_type;
    EXPECT_LT(again, 1.02 * four) << node.op_type;
  }
}

// A plan with a path, through JSON and into the Q/DQ graph: codes, and the path in float beside.
TEST(NetworkPaths, PlansCarryThem) {
  for (const Graph& g : Nets()) {
    Model model;
    model.graph = g;
    Plan plan = PlanOf(g);
    plan.nodes["layer"].path = RoundToBFloat16(
        {NormalTensor({3, WeightRows(g.nodes[0], g.initializers.at("w")).depth}, 9),
         NormalTensor({WeightRows(g.nodes[0], g.initializers.at("w")).channels, 3}, 10)});
    const Plan read = PlanFromJson(ToJson(plan), "plan");
    EXPECT_EQ(ToJson(read), ToJson(plan));
    Plan in_float = plan;  // a layer that went back to float needs no path
    in_float.nodes["layer"].quantized = false;
    EXPECT_EQ(ApplyPlan(model, in_float).graph.nodes.size(), 1U);
    Plan without = plan;
    without.nodes["layer"].path = {};
    const Tensor x = NormalTensor(g.inputs[0].shape, 11);
    Graph path = g;  // the path alone, beside a layer of zeros
    for (auto& [name, t] : path.initializers) t = Tensor::Zeros(DType::kFloat32, t.shape());
    AddPaths(path, plan);
    const Tensor a = Output(ApplyPlan(model, read).graph, x);
    const Tensor b = Output(ApplyPlan(model, without).graph, x), p = Output(path, x);
    for (int64_t i = 0; i < a.numel(); ++i)
      EXPECT_NEAR(
          a.data<float>()[i], b.data<float>()[i] + p.data<float>()[i],
          g.nodes[0].Is("Conv") ? 0.26 : 1e-4)  // without a path the result is coded, in halves
          << g.nodes[0].op_type;
  }
}

TEST(NetworkPaths, ThatDoNotFitAreRefused) {
  Graph g = ConvNet();
  Plan plan = PlanOf(g);
  plan.nodes["layer"].path = {NormalTensor({2, 53}, 1), NormalTensor({20, 2}, 2)};
  EXPECT_THROW(AddPaths(g, plan), UsageError);
  plan.nodes["layer"].path = {NormalTensor({2, 54}, 1), NormalTensor({19, 2}, 2)};
  EXPECT_THROW(AddPaths(g, plan), UsageError);
  Graph grouped = ConvNet();
  grouped.initializers["w"] = NormalTensor({20, 3, 3, 3}, 1);
  grouped.nodes[0].attributes["group"] = int64_t{2};
  plan.nodes["layer"].path = {NormalTensor({2, 27}, 1), NormalTensor({20, 2}, 2)};
  EXPECT_THROW(AddPaths(grouped, plan), UsageError);
  for (const char* recovery :
       {R"({"rank": 2, "a": [1, 2, 3], "b": [1, 2]})", R"({"rank": 0, "a": [1], "b": [1]})",
        R"({"rank": 1, "a": [], "b": [1]})", R"({"rank": 1, "a": [1]})"}) {
    std::string text = ToJson(PlanOf(g));
    const std::string field = "\"precision\": \"int8\"";
    text.replace(text.find(field), field.size(), field + ", \"recovery\": " + recovery);
    EXPECT_THROW(PlanFromJson(text, "plan"), FileError) << recovery;
  }
}

}  // namespace
}  // namespace mezzo
