// Integer products on simulated arrays, inside a graph.
#include "mezzo/runtime/cim.h"

#include <gtest/gtest.h>

#include <random>

#include "mezzo/runtime/ops/one_op_test.h"

namespace mezzo {
namespace {

class Maker {
 public:
  explicit Maker(unsigned seed) : rng_(seed) {}
  Tensor Codes(DType type, Shape shape) {
    Tensor t(type, std::move(shape));
    for (size_t i = 0; i < t.bytes(); ++i)
      static_cast<uint8_t*>(t.raw())[i] = static_cast<uint8_t>(rng_());
    return t;
  }
  Tensor Bias(int64_t n) {
    std::vector<int32_t> b;
    for (int64_t i = 0; i < n; ++i) b.push_back(static_cast<int32_t>(rng_() % 2001) - 1000);
    return Tensor::Vector(b);
  }

 private:
  std::mt19937 rng_;
};

OneOp Op(const std::string& op, std::map<std::string, Attribute> attributes) {
  attributes["scales"] = std::vector<float>{0.003f};
  OneOp one(op, std::move(attributes));
  one.graph.nodes[0].domain = "mezzo";
  return one;
}

std::vector<OneOp> Products() {
  using Ints = std::vector<int64_t>;
  Maker make(1);
  std::vector<OneOp> all;
  all.push_back(Op(
      "QConv",
      {{"pads", Ints{1, 1, 1, 1}}, {"x_zero_point", int64_t{7}}, {"y_zero_point", int64_t{128}}}));
  all.back().In(make.Codes(DType::kUInt8, {2, 5, 9, 8}));
  all.back().In(make.Codes(DType::kInt8, {6, 5, 3, 3}), true).In(make.Bias(6), true);
  all.push_back(Op("QConv", {{"group", int64_t{2}},
                             {"strides", Ints{2, 1}},
                             {"dilations", Ints{1, 2}},
                             {"y_type", std::string("int8")}}));
  all.back().In(make.Codes(DType::kInt8, {1, 6, 7, 9}));
  all.back().In(make.Codes(DType::kInt8, {4, 3, 3, 2}), true);
  all.push_back(Op("QConv", {{"group", int64_t{20}},  // depthwise
                             {"pads", Ints{1, 1}},
                             {"x_zero_point", int64_t{200}},
                             {"w_zero_points", Ints{120}}}));
  all.back().In(make.Codes(DType::kUInt8, {1, 20, 11}));
  all.back().In(make.Codes(DType::kUInt8, {20, 1, 3}), true);
  all.push_back(Op("QMatMul", {{"transpose_b", int64_t{1}}, {"a_zero_point", int64_t{3}}}));
  all.back().In(make.Codes(DType::kUInt8, {2, 35, 70}));
  all.back().In(make.Codes(DType::kInt8, {9, 70}), true).In(make.Bias(9), true);
  all.push_back(Op("QMatMul",
                   {{"b_zero_points", Ints{1, 2, 3, 4, 255}}, {"y_type", std::string("float32")}}));
  all.back().In(make.Codes(DType::kInt8, {130}));
  all.back().In(make.Codes(DType::kUInt8, {130, 5}), true);
  return all;
}

OneOp Simulated(const OneOp& one, const CimOptions& o) {
  OneOp changed = one;
  changed.graph = OnArrays(one.graph, o);
  EXPECT_EQ(changed.graph.nodes[0].op_type, "Cim" + one.graph.nodes[0].op_type.substr(1));
  return changed;
}

TEST(CimGraph, IdealArraysAreTheIntegerEngine) {
  for (const size_t rows : {0, 16}) {
    CimOptions o;
    o.rows = rows;
    for (const OneOp& one : Products())
      EXPECT_TRUE(SameBits(Simulated(one, o).Run()[0], one.Run()[0]))
          << one.graph.nodes[0].op_type << " by " << rows;
  }
}

TEST(CimGraph, ThreadsAndKernelSetsGiveTheSameBits) {
  CimOptions o;
  o.rows = 16, o.adc_bits = 5, o.sigma = 0.1f, o.read_noise = 0.4f, o.chip = 12345678901;
  for (const OneOp& one : Products()) {
    const OneOp simulated = Simulated(one, o);
    const Tensor y = simulated.Run()[0];
    EXPECT_TRUE(SameBits(y, simulated.Run(3)[0]));
    EXPECT_TRUE(SameBits(y, simulated.Run(1, KernelSet::kReference)[0]));
    EXPECT_FALSE(SameBits(y, one.Run()[0]));
  }
}

TEST(CimGraph, OptionsTravelInTheNode) {
  CimOptions o;
  o.rows = 16, o.adc_bits = 5, o.adc_full_scale = 0.5f, o.sigma = 0.1f, o.stuck_at_0 = 0.01f;
  o.stuck_at_1 = 0.02f, o.read_noise = 0.4f, o.drift = 0.1f, o.drift_spread = 0.2f, o.chip = 9;
  const CimOptions p = CimOptionsOf(OnArrays(Products()[0].graph, o).nodes[0]);
  EXPECT_EQ(p.rows, o.rows);
  EXPECT_EQ(p.adc_bits, o.adc_bits);
  EXPECT_EQ(p.adc_full_scale, o.adc_full_scale);
  EXPECT_EQ(p.sigma, o.sigma);
  EXPECT_EQ(p.stuck_at_0, o.stuck_at_0);
  EXPECT_EQ(p.stuck_at_1, o.stuck_at_1);
  EXPECT_EQ(p.read_noise, o.read_noise);
  EXPECT_EQ(p.drift, o.drift);
  EXPECT_EQ(p.drift_spread, o.drift_spread);
  EXPECT_EQ(p.chip, o.chip);
}

TEST(CimGraph, CountsWhatLayersAsk) {
  const OneOp one = Simulated(Products()[2], {});
  const std::vector<CimLayer> layers = CimLayers(one.graph, one.inputs);
  ASSERT_EQ(layers.size(), 1u);
  EXPECT_EQ(layers[0].depth, 3);
  EXPECT_EQ(layers[0].groups, 20);
  EXPECT_EQ(layers[0].weights, 60);
  EXPECT_EQ(layers[0].outputs, 20 * 11);
  EXPECT_EQ(layers[0].Macs(), 20 * 11 * 3);
  EXPECT_EQ(layers[0].planes, 9);  // codes less 120
}

TEST(CimGraph, ProductsOfTwoComputedTensorsStayDigital) {
  Maker make(2);
  OneOp one = Op("QMatMul", {});
  one.In(make.Codes(DType::kUInt8, {4, 6})).In(make.Codes(DType::kInt8, {6, 3}));
  const Graph graph = OnArrays(one.graph, {});
  EXPECT_EQ(graph.nodes[0].op_type, "QMatMul");
  EXPECT_EQ(DigitalProducts(graph), (std::vector<std::string>{"QMatMul (QMatMul)"}));
}

}  // namespace
}  // namespace mezzo
