// Gradients through If and LSTM against differences, and what is refused.
#include "mezzo/runtime/gradient/check_test.h"

namespace mezzo {
namespace {

using Names = std::vector<std::string>;

Node Make(const char* op, Names in, Names out, std::map<std::string, Attribute> attributes = {}) {
  return {op, "", out[0], std::move(in), std::move(out), std::move(attributes)};
}

Attribute Branch(std::vector<Node> nodes, const Names& outputs) {
  auto graph = std::make_shared<Graph>();
  graph->nodes = std::move(nodes);
  for (const std::string& out : outputs) graph->outputs.push_back({out});
  return std::shared_ptr<const Graph>(graph);
}

Tensor Bool(bool value) {
  Tensor t(DType::kBool, {});
  *t.data<bool>() = value;
  return t;
}

// a = x w; the outer If gives (tanh(a) or a w, v * x) or what it captures as it is: (a, v); y is
// their sum plus a.
OneOp Nested(bool outer, bool inner) {
  const Attribute deep_then = Branch({Make("Tanh", {"a"}, {"t"})}, {"t"});
  const Attribute deep_else = Branch({Make("MatMul", {"a", "w"}, {"e"})}, {"e"});
  const Attribute then_branch =
      Branch({Make("If", {"d"}, {"n"}, {{"then_branch", deep_then}, {"else_branch", deep_else}}),
              Make("Mul", {"v", "x"}, {"m"})},
             {"n", "m"});
  OneOp op("If");
  Graph& g = op.graph;
  g.inputs = {{"x", DType::kFloat32, {2, 3}, {}, true},
              {"c", DType::kBool, {}, {}, true},
              {"d", DType::kBool, {}, {}, true}};
  op.inputs = {{"x", Random({2, 3}, 1)}, {"c", Bool(outer)}, {"d", Bool(inner)}};
  g.initializers = {{"w", Random({3, 3}, 2)}, {"v", Random({2, 3}, 3)}};
  g.nodes = {Make("MatMul", {"x", "w"}, {"a"}),
             Make("If", {"c"}, {"p", "q"},
                  {{"then_branch", then_branch}, {"else_branch", Branch({}, {"a", "v"})}}),
             Make("Sum", {"p", "q", "a"}, {"y"})};
  g.outputs = {{"y"}};
  return op;
}

TEST(Gradient, PassesThroughTheBranchThatRan) {
  for (const bool outer : {false, true})
    for (const bool inner : {false, true}) {
      SCOPED_TRACE(Cat(outer, inner));
      Check(Nested(outer, inner));
    }
}

TEST(Gradient, RefusesBranchesThatItCannotFollow) {
  OneOp op = Nested(true, true);
  const Attribute round = Branch({Make("Round", {"a"}, {"r"})}, {"r", "v"});
  op.graph.nodes[1].attributes["else_branch"] = round;
  EXPECT_THROW(Gradient(op.graph, {"x"}, {}), UsageError) << "though this branch does not run";
  EXPECT_THROW(Gradient(op.graph, {"t"}, {}), UsageError) << "is made inside of a branch";
  EXPECT_NO_THROW(Gradient(op.graph, {"q"}, {})) << "nothing passes through the branches";
  // nothing that moves enters this one
  op.graph.nodes[1].attributes["else_branch"] = Branch({Make("Round", {"v"}, {"r"})}, {"r", "v"});
  EXPECT_NO_THROW(Gradient(op.graph, {"x"}, {}));
}

// 4 steps of 2 sequences of 3 numbers, 2 hidden.
OneOp Lstm(bool constant, bool optional, std::map<std::string, Attribute> attributes = {}) {
  attributes["hidden_size"] = int64_t{2};
  OneOp op("LSTM", std::move(attributes), 3);
  op.In(Random({4, 2, 3}, 1)).In(Random({1, 8, 3}, 2), constant).In(Random({1, 8, 2}, 3), constant);
  if (optional)
    op.In(Random({1, 16}, 4), constant).In({}).In(Random({1, 2, 2}, 5)).In(Random({1, 2, 2}, 6));
  return op;
}

TEST(Gradient, LstmBackThroughTime) {
  for (const bool constant : {false, true})
    for (const bool optional : {false, true}) Check(Lstm(constant, optional));
  for (const size_t only : {0, 1, 2}) {  // one of the three outputs
    OneOp op = Lstm(true, true);
    Node& node = op.graph.nodes[0];
    for (size_t o = 0; o < 3; ++o)
      if (o != only) node.outputs[o] = "";
    op.graph.outputs = {op.graph.outputs[only]};
    SCOPED_TRACE(only);
    Check(op);
  }
}

TEST(Gradient, LstmRefusesWhatItDoesNotFollow) {
  const auto refuses = [](const OneOp& op, const std::string& why) {
    const Gradient gradient(op.graph, {"x0"}, {});
    const Tape tape = gradient.Forward(op.inputs);
    try {
      gradient.Reverse(tape, tape.outputs, [](const std::string&, const Tensor&) {});
      ADD_FAILURE() << why;
    } catch (const UsageError& e) {
      EXPECT_NE(std::string(e.what()).find(why), std::string::npos) << e.what();
    }
  };
  using Texts = std::vector<std::string>;
  refuses(Lstm(true, true, {{"direction", std::string("reverse")}}), "directions");
  refuses(Lstm(true, true, {{"activations", Texts{"Tanh", "Tanh", "Tanh"}}}), "activations");
  refuses(Lstm(true, true, {{"clip", 1.0f}}), "clip");
  refuses(Lstm(true, true, {{"input_forget", int64_t{1}}}), "input_forget");
  OneOp lengths = Lstm(true, false);
  refuses(lengths.In({}).In(Tensor::Vector<int32_t>({4, 3})), "lengths");
  OneOp peepholes = Lstm(true, true);
  refuses(peepholes.In(Random({1, 6}, 7)), "peepholes");
}

}  // namespace
}  // namespace mezzo
