#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <optional>
#include <random>

#include "mezzo/base/cpu.h"
#include "mezzo/runtime/fuse.h"
#include "mezzo/runtime/session.h"

namespace mezzo {
namespace {

using Ints = std::vector<int64_t>;

struct Case {
  Shape q, k, v;  // in the files' order of dimensions
  std::optional<Shape> mask;
  std::vector<int64_t> q_perm = {}, k_perm = {}, v_perm = {}, y_perm = {};
  bool is_signed = false, floats = false;  // the codes; the result
};

Tensor Codes(const Shape& shape, bool is_signed, std::mt19937& rng) {
  std::vector<uint8_t> u(static_cast<size_t>(NumElements(shape)));
  for (uint8_t& c : u) c = static_cast<uint8_t>(rng());
  return is_signed ? Tensor::Of(std::vector<int8_t>(u.begin(), u.end()), shape)
                   : Tensor::Of(u, shape);
}

Node& Add(Graph& g, const char* domain, const char* op, std::vector<std::string> inputs,
          const char* output) {
  Node& node = g.nodes.emplace_back();
  node.domain = domain, node.op_type = op, node.name = std::string("node ") + output;
  node.inputs = std::move(inputs), node.outputs = {output};
  return node;
}

// softmax((q k) / 40 + mask) v, as lowering and FuseSoftmax leave it.
Graph Attention(const Case& c) {
  Graph g;
  const auto operand = [&](const char* name, const char* turned, const Ints& perm) {
    if (perm.empty()) return std::string(name);
    Add(g, "", "Transpose", {name}, turned).attributes["perm"] = perm;
    return std::string(turned);
  };
  const std::string q = operand("q", "qt", c.q_perm), k = operand("k", "kt", c.k_perm),
                    v = operand("v", "vt", c.v_perm);
  Add(g, "mezzo", "QMatMul", {q, k}, "scores").attributes = {
      {"a_zero_point", int64_t{7}},
      {"b_zero_points", Ints{c.is_signed ? -9 : 120}},
      {"scales", std::vector<float>{3e-4f}},
      {"y_type", std::string("float32")}};
  Node& softmax = Add(g, "mezzo", "Softmax", {"scores"}, "p");
  softmax.attributes = {{"kinds", Ints{3}},
                        {"a", Ints{0}},
                        {"b", Ints{255}},
                        {"constants", std::vector<float>{1.7f}},
                        {"y_type", std::string("uint8")},
                        {"y_scale", 1 / 255.0f},
                        {"y_zero_point", int64_t{0}}};
  if (c.mask) softmax.inputs.push_back("mask");
  Node& values = Add(g, "mezzo", "QMatMul", {"p", v}, c.y_perm.empty() ? "y" : "yt");
  values.attributes = {{"b_zero_points", Ints{c.is_signed ? 3 : 130}},
                       {"scales", std::vector<float>{0.01f}},
                       {"y_type", std::string(c.floats ? "float32" : "int8")}};
  if (!c.y_perm.empty()) Add(g, "", "Transpose", {"yt"}, "y").attributes["perm"] = c.y_perm;
  const DType type = c.is_signed ? DType::kInt8 : DType::kUInt8;
  g.inputs = {{"q", type, c.q, {}, true}, {"k", type, c.k, {}, true}, {"v", type, c.v, {}, true}};
  if (c.mask) g.inputs.push_back({"mask", DType::kFloat32, *c.mask, {}, true});
  g.outputs.emplace_back().name = "y";
  return g;
}

TensorMap Inputs(const Case& c, std::mt19937& rng) {
  TensorMap inputs{{"q", Codes(c.q, c.is_signed, rng)},
                   {"k", Codes(c.k, c.is_signed, rng)},
                   {"v", Codes(c.v, c.is_signed, rng)}};
  if (c.mask) {
    std::vector<float> m(static_cast<size_t>(NumElements(*c.mask)));
    for (float& x : m) x = rng() % 4 ? 0.1f * static_cast<float>(rng() % 7) : -INFINITY;
    inputs["mask"] = Tensor::Of(m, *c.mask);
  }
  return inputs;
}

void ExpectSameBits(const Graph& before, const Graph& after, const TensorMap& inputs) {
  const Tensor want = Session(before, {Threads(), KernelSet::kReference}).Run(inputs)[0];
  for (const Isa isa : SupportedIsas()) {
    const ScopedIsa scoped(isa);
    for (const KernelSet kernels : {KernelSet::kFast, KernelSet::kReference}) {
      const Tensor got = Session(after, {Threads(3), kernels}).Run(inputs)[0];
      ASSERT_EQ(got.dtype(), want.dtype());
      ASSERT_EQ(got.shape(), want.shape());
      EXPECT_EQ(std::memcmp(got.raw(), want.raw(), want.bytes()), 0) << Name(isa);
    }
  }
}

const Ints kHeads = {0, 2, 1, 3}, kKeys = {0, 2, 3, 1};

TEST(FuseAttention, GivesTheSameBits) {
  std::mt19937 rng(3);
  const std::vector<Case> cases = {
      // a transformer's encoder, and the same without anything to read through
      {{2, 37, 3, 32},
       {2, 37, 3, 32},
       {2, 37, 3, 32},
       Shape{2, 1, 1, 37},
       kHeads,
       kKeys,
       kHeads,
       kHeads},
      {{2, 3, 37, 32}, {2, 3, 32, 37}, {2, 3, 37, 32}, std::nullopt},
      {{5, 7}, {7, 9}, {9, 1}, Shape{1}, {}, {}, {}, {}, true, true},
      // operands and masks that are repeated
      {{4, 1, 6, 5}, {3, 5, 11}, {11, 13}, Shape{6, 1}, {}, {}, {}, {}, true},
      {{1, 5}, {5, 1}, {8, 70}, Shape{2, 3, 8}},
      {{3, 4}, {2, 4, 6}, {5, 1, 6, 3}, Shape{1, 6}, {}, {}, {}, {2, 0, 1, 3}, false, true},
      // several times what is kept of scores
      {{1, 45, 2, 16},
       {1, 900, 2, 16},
       {1, 900, 2, 16},
       std::nullopt,
       kHeads,
       kKeys,
       kHeads,
       kHeads},
      {{0, 4}, {4, 6}, {6, 3}, std::nullopt},
      {{2, 0}, {0, 6}, {6, 3}, std::nullopt}};
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(i);
    const Graph graph = Attention(cases[i]);
    Graph fused = graph;
    FuseAttention(fused, nullptr);
    ASSERT_EQ(fused.nodes.size(), 1u);
    EXPECT_EQ(fused.nodes[0].op_type, "Attention");
    ExpectSameBits(graph, fused, Inputs(cases[i], rng));
  }
}

TEST(FuseAttention, LeavesWhatOthersRead) {
  std::mt19937 rng(4);
  const Case c{{2, 7, 3, 8}, {2, 7, 3, 8}, {2, 7, 3, 8}, std::nullopt,
               kHeads,       kKeys,        kHeads,       kHeads};
  for (const char* also : {"scores", "p"}) {
    Graph graph = Attention(c);
    graph.outputs.emplace_back().name = also;
    FuseAttention(graph, nullptr);
    EXPECT_EQ(graph.nodes.size(), 7u) << also;
  }
  for (const char* also : {"kt", "yt"}) {  // these Transposes stay
    const Graph graph = Attention(c);
    Graph fused = graph;
    fused.outputs.emplace_back().name = also;
    FuseAttention(fused, nullptr);
    EXPECT_EQ(fused.nodes.size(), 2u) << also;
    ExpectSameBits(graph, fused, Inputs(c, rng));
  }
  // columns that would not lie side by side
  Case turned = c;
  turned.y_perm = {0, 1, 3, 2};
  Graph graph = Attention(turned);
  FuseAttention(graph, nullptr);
  EXPECT_EQ(graph.nodes.size(), 2u);
}

TEST(FuseAttention, SaysWhatItStandsForAndWhatDoesNotFit) {
  std::mt19937 rng(5);
  Case c{{2, 7, 3, 8}, {2, 7, 3, 8}, {2, 9, 3, 8}, std::nullopt, kHeads, kKeys, kHeads, kHeads};
  Graph graph = Attention(c);
  LowerReport report;
  report.replaced["scores"] = {{"first", "MatMul"}};
  FuseAttention(graph, &report);
  EXPECT_EQ(report.replaced.at("y").size(), 7u);
  EXPECT_FALSE(report.replaced.contains("scores"));
  const Session session(graph, {});
  EXPECT_THROW(session.Run(Inputs(c, rng)), UsageError);
  c.q = {2, 7, 3, 4}, c.v = c.k;
  EXPECT_THROW(session.Run(Inputs(c, rng)), UsageError);
  c.q = {7, 3, 8};
  EXPECT_THROW(session.Run(Inputs(c, rng)), UsageError);
}

TEST(CastBeforeExpand, ConvertsBeforeItRepeats) {
  Graph g;
  g.inputs = {{"x", DType::kInt64, {3, 1}, {}, true}};
  g.initializers["shape"] = Tensor::Vector<int64_t>({2, 3, 4});
  Add(g, "", "Expand", {"x", "shape"}, "wide");
  Add(g, "", "Cast", {"wide"}, "y").attributes["to"] = static_cast<int64_t>(DType::kFloat32);
  g.outputs.emplace_back().name = "y";
  Graph moved = g;
  CastBeforeExpand(moved);
  EXPECT_EQ(moved.nodes[0].op_type, "Cast");
  ExpectSameBits(g, moved, {{"x", Tensor::Of(std::vector<int64_t>{5, -6, 7}, {3, 1})}});
  g.outputs.emplace_back().name = "wide";
  CastBeforeExpand(g);
  EXPECT_EQ(g.nodes[0].op_type, "Expand");
}

}  // namespace
}  // namespace mezzo
