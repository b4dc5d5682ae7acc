#include "mezzo/algorithm/plan.h"

#include <gtest/gtest.h>

#include "mezzo/algorithm/apply_plan.h"
#include "mezzo/algorithm/sites.h"
#include "mezzo/base/error.h"

namespace mezzo {
namespace {

Plan Example() {
  Plan p;
  p.model_hash = "fnv1a64:0123456789abcdef";
  p.activations["x"] = {{0.1f, 128}, -12.8f, 12.7f, true, "percentile:99.99"};
  p.activations["y"] = {{1e-30f, 0}, 0, 2.55e-28f, false, "mse"};
  p.nodes["conv"] = {true, "", {0.5f, 1.0f / 3, 1e-38f}, {-128, 127, 0, 5}, {0.25f, 0, -1}, 0.125};
  p.equalization["y"] = {1, 0.1f};
  NodePlan& narrow = p.nodes["narrow"] = {true, "", {0.5f}, {-64, 17}, {}, 0};
  narrow.weight_format = "nf2";
  narrow.group_size = 1;
  narrow.weight_steps = {1, 16};
  p.nodes["fc \"quoted\""] = {false, "excluded by the user", {}, {}, {}, 0};
  p.metric_name = "top1";
  p.float_metric = 0.868;
  p.ladder = {{"max", NAN, NAN, NAN, 0.01, 1, false}, {"mse", 0.86, 0.009, 0.002, 0.001, 1, true}};
  p.notes = {"a note"};
  p.seed = 7;
  return p;
}

TEST(Plan, RoundTripsThroughJsonToTheSameBytesAndValues) {
  const Plan p = Example();
  const std::string text = ToJson(p);
  const Plan q = PlanFromJson(text, "p.json");
  EXPECT_EQ(ToJson(q), text);
  EXPECT_EQ(q.activations.at("x").qparams.scale, 0.1f);
  EXPECT_EQ(q.nodes.at("conv").weight_scales, p.nodes.at("conv").weight_scales);
  EXPECT_EQ(q.nodes.at("conv").weight_codes, p.nodes.at("conv").weight_codes);
  EXPECT_EQ(q.equalization, p.equalization);
  EXPECT_EQ(q.nodes.at("conv").weight_format, "int8");
  EXPECT_EQ(q.nodes.at("narrow").weight_format, "nf2");
  EXPECT_EQ(q.nodes.at("narrow").group_size, 1);
  EXPECT_EQ(q.nodes.at("narrow").weight_steps, p.nodes.at("narrow").weight_steps);
  EXPECT_EQ(q.activations.at("y").qparams.scale, 1e-30f);
  EXPECT_FALSE(q.nodes.at("fc \"quoted\"").quantized);
}

TEST(Plan, NamesWhatIsWrong) {
  const std::string good = ToJson(Example());
  const auto broken = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    try {
      PlanFromJson(text, "p.json");
      return std::string("accepted");
    } catch (const FileError& e) {
      return std::string(e.what());
    }
  };
  const auto has = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  };
  EXPECT_TRUE(has(broken("\"mezzo_plan\": 1", "\"mezzo_plan\": 2"), "mezzo_plan"));
  EXPECT_TRUE(
      has(broken("\"zero_point\": 128", "\"zero_point\": 256"), "activations.x.zero_point"));
  EXPECT_TRUE(has(broken("\"scale\": 0.1", "\"scale\": 0"), "activations.x.scale"));
  EXPECT_TRUE(has(broken("\"scale\": 0.1", "\"scale\": 1e99"), "activations.x.scale"));
  EXPECT_TRUE(has(broken("\"int8\"", "\"int3\""), "precision"));
  EXPECT_TRUE(has(broken("gH8ABQ==", "gH8ABQ="), "nodes.conv.weight_codes"));
  EXPECT_TRUE(has(broken("gH8ABQ==", "gH8=BQ=="), "nodes.conv.weight_codes"));
  EXPECT_TRUE(
      has(broken("\"equalization\": {", "\"equalization\": {\"z\": [0],"), "equalization.z"));
  EXPECT_TRUE(has(broken("\"nf2\"", "\"nf7\""), "narrow.weight_format"));
  EXPECT_TRUE(has(broken("\"nf2\"", "4"), "narrow.weight_format"));
  EXPECT_TRUE(has(broken("\"nf2\"", "\"int8\""), "int8 weights have no groups"));
  EXPECT_TRUE(has(broken("\"group_size\": 1", "\"group_size\": 0"), "narrow.group_size"));
  EXPECT_TRUE(has(broken("   \"group_size\": 1,\n", ""), "go together"));
  EXPECT_TRUE(has(broken("   \"weight_steps\": \"ARA=\",\n", ""), "go together"));
  EXPECT_TRUE(has(broken("\"ARA=\"", "\"ABA=\""), "narrow.weight_steps"));
  EXPECT_TRUE(has(broken("\"ARA=\"", "\"ARE=\""), "narrow.weight_steps"));
  EXPECT_TRUE(has(broken("\"ARA=\"", "\"ARA\""), "narrow.weight_steps"));
  EXPECT_TRUE(has(broken("\"seed\"", "\"sede\""), "seed"));
  EXPECT_TRUE(has(broken("\"kept\": true", "\"kept\": true, \"extra\": 1"), "extra"));
  EXPECT_TRUE(has(broken("{", ""), "p.json"));
}

ValueInfo Float(const std::string& name, Shape shape) {
  return {name, DType::kFloat32, shape, {}, true};
}

// x -> conv1 -> relu -> pool -> conv2 -> + (shortcut from pool) -> conv3 -> y
Graph Residual() {
  Graph g;
  g.inputs = {Float("x", {1, 1, 8, 8})};
  g.outputs = {{"y"}};
  for (const char* w : {"w1", "w2"}) g.initializers[w] = Tensor::Of<float>({0.5f}, {1, 1, 1, 1});
  g.nodes = {{"Conv", "", "conv1", {"x", "w1"}, {"c1"}, {}},
             {"Relu", "", "relu", {"c1"}, {"r"}, {}},
             {"MaxPool", "", "pool", {"r"}, {"p"}, {{"kernel_shape", std::vector<int64_t>{2, 2}}}},
             {"Conv", "", "conv2", {"p", "w2"}, {"c2"}, {}},
             {"Add", "", "add", {"c2", "p"}, {"a"}, {}},
             {"Conv", "", "conv3", {"a", "w1"}, {"y"}, {}}};
  return g;
}

TEST(Sites, CodesFlowThroughPoolsAndResiduals) {
  const Sites s = FindSites(Residual(), {"conv1", "conv2"});
  const std::map<std::string, std::string> want{
      {"x", "x"}, {"r", "r"}, {"p", "r"}, {"c2", "c2"}, {"a", "a"}};
  EXPECT_EQ(s.root, want);
  EXPECT_EQ(s.integer_made, (std::set<std::string>{"r", "p", "c2", "a"}));
}

TEST(Sites, AveragesForTheOutputAloneStayFloat) {
  Graph g = Residual();
  g.nodes[4] = {"GlobalAveragePool", "", "average", {"c2"}, {"a"}, {}};
  g.nodes[5] = {"Flatten", "", "flatten", {"a"}, {"y"}, {}};
  EXPECT_FALSE(FindSites(g, {"conv1", "conv2"}).root.contains("a"));
}

TEST(Sites, AFloatNeighbourKeepsItsInputsFloat) {
  const Sites s = FindSites(Residual(), {"conv2"});
  const std::map<std::string, std::string> want{{"p", "r"}, {"c2", "c2"}, {"a", "a"}};
  EXPECT_EQ(s.root, want);
  EXPECT_FALSE(s.integer_made.contains("p"));
}

Plan PlanFor(const Graph& g, const std::set<std::string>& quantized) {
  Plan p;
  for (const auto& [value, root] : FindSites(g, quantized).root)
    p.activations[root] = {{0.1f, 0}, 0, 25.5f, false, "max"};
  for (const std::string& name : quantized) p.nodes[name] = {true, "", {0.01f}, {}, {}, 0};
  return p;
}

size_t CountOf(const Graph& g, const std::string& op) {
  return static_cast<size_t>(
      std::count_if(g.nodes.begin(), g.nodes.end(), [&](const Node& n) { return n.Is(op); }));
}

TEST(ApplyPlan, PutsPairsAroundIntegerNodesAndDropsTheImpliedRelu) {
  Model m;
  m.graph = Residual();
  const Model q = ApplyPlan(m, PlanFor(m.graph, {"conv1", "conv2", "conv3"}));
  EXPECT_EQ(CountOf(q.graph, "QuantizeLinear"), 6u);
  EXPECT_EQ(CountOf(q.graph, "DequantizeLinear"), 6u + 3u);  // and three weights
  EXPECT_EQ(CountOf(q.graph, "Relu"), 0u);
  EXPECT_EQ(q.graph.outputs[0].name, "y");
  const Uses uses(q.graph);
  EXPECT_EQ(q.graph.nodes[uses.producer.at("y")].op_type, "DequantizeLinear");
}

TEST(ApplyPlan, KeepsAReluThatTheGridDoesNotImply) {
  Model m;
  m.graph = Residual();
  Plan p = PlanFor(m.graph, {"conv1", "conv2"});
  p.activations["r"].qparams.zero_point = 10;
  EXPECT_EQ(CountOf(ApplyPlan(m, p).graph, "Relu"), 1u);
}

TEST(ApplyPlan, RaisesTheWeightScaleOfABiasThatWouldOverflow) {
  Model m;
  m.graph = Residual();
  m.graph.initializers["b"] = Tensor::Vector<float>({1000.0f});
  m.graph.nodes[0].inputs.push_back("b");
  Plan p = PlanFor(m.graph, {"conv1", "conv2"});
  p.nodes["conv1"].weight_scales = {1e-12f};
  std::vector<std::string> notes;
  const Model q = ApplyPlan(m, p, &notes);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("conv1"), std::string::npos);
  EXPECT_NEAR(*q.graph.initializers.at("conv1_bias_quantized").data<int32_t>(), 1 << 30, 1 << 8);
}

// What a branch captures is the value that everyone else sees: dequantized, behind the Relu.
TEST(ApplyPlan, BranchesSeeTheDequantizedValue) {
  Model m;
  m.graph = Residual();
  auto branch = std::make_shared<Graph>();
  branch->nodes = {{"Neg", "", "neg", {"r"}, {"n"}, {}}};
  branch->outputs = {{"n"}};
  m.graph.initializers["yes"] = Tensor::Scalar(true);
  m.graph.nodes.push_back({"If",
                           "",
                           "if",
                           {"yes"},
                           {"i"},
                           {{"then_branch", std::shared_ptr<const Graph>(branch)},
                            {"else_branch", std::shared_ptr<const Graph>(branch)}}});
  m.graph.outputs.push_back({"i"});
  const Model q = ApplyPlan(m, PlanFor(m.graph, {"conv1", "conv2"}));
  const Uses uses(q.graph);
  EXPECT_EQ(q.graph.nodes[uses.producer.at("r")].op_type, "DequantizeLinear");
  EXPECT_EQ(CountOf(q.graph, "Relu"), 0u);
}

TEST(ApplyPlan, NamesAMissingGridAndAnUnknownNode) {
  Model m;
  m.graph = Residual();
  Plan p = PlanFor(m.graph, {"conv1", "conv2"});
  p.activations.erase("r");
  EXPECT_THROW(ApplyPlan(m, p), UsageError);
  Plan unknown = PlanFor(m.graph, {"conv1"});
  unknown.nodes["conv9"] = {true, "", {0.01f}, {}, {}, 0};
  EXPECT_THROW(ApplyPlan(m, unknown), UsageError);
}

}  // namespace
}  // namespace mezzo
