// Pools, normalizations, Resize, recurrent operators, attention and quantization on small cases.
// Goldens are ONNX Runtime's unless the test says otherwise; onnx_backend_test.cc runs ONNX's own
// cases.
#include "mezzo/runtime/ops/one_op_test.h"

namespace mezzo {
namespace {

using Ints = std::vector<int64_t>;

TEST(Pool, CeilModeCountsThePaddingButNotBeyond) {
  OneOp op("AveragePool", {{"kernel_shape", Ints{3}},
                           {"strides", Ints{2}},
                           {"pads", Ints{1, 1}},
                           {"ceil_mode", int64_t{1}},
                           {"count_include_pad", int64_t{1}}});
  ExpectClose(op.In(TestRamp({1, 1, 5})).Run()[0], {1, 1, 3}, {-0.1f, 0.16666667f, 0.2f});
}

TEST(Pool, MaxGivesColumnMajorIndices) {
  OneOp op("MaxPool",
           {{"kernel_shape", Ints{2, 2}},
            {"storage_order", int64_t{1}},
            {"dilations", Ints{2, 1}},
            {"pads", Ints{1, 0, 0, 0}}},
           2);
  const auto y = op.In(TestRamp({1, 1, 3, 3})).Run();
  ExpectClose(y[0], {1, 1, 2, 2}, {0.5f, 0.1f, 0.4f, 0.2f});
  EXPECT_EQ(ToInts(y[1]), (Ints{1, 4, 2, 3}));
}

TEST(Pool, LayoutsAndThreadsGiveTheSameBits) {
  const Tensor x = TestRamp({3, 13, 9, 8});
  for (const char* name :
       {"MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool"}) {
    std::map<std::string, Attribute> attributes;
    if (name[0] != 'G') attributes = {{"kernel_shape", Ints{3, 3}}, {"pads", Ints{1, 1, 1, 1}}};
    const Tensor want = OneOp(name, attributes).In(x).Run(1)[0];
    EXPECT_TRUE(SameBits(OneOp(name, attributes).In(x).Run(4)[0], want)) << name;
    const Tensor last = x.ToLayout(Layout::kChannelsLast);
    EXPECT_TRUE(SameBits(OneOp(name, attributes).In(last).Run(2)[0], want)) << name;

    Tensor sample(DType::kFloat32, {1, 13, 9, 8});
    std::copy_n(x.data<float>() + 2 * sample.numel(), sample.numel(), sample.data<float>());
    const Tensor alone = OneOp(name, attributes).In(sample).Run()[0];
    EXPECT_EQ(std::memcmp(alone.raw(), want.data<float>() + 2 * alone.numel(), alone.bytes()), 0)
        << name;
  }
}

TEST(Pool, MaxTakesBytes) {
  const Tensor x = Tensor::Of<int8_t>({-128, -7, 3, -2}, {1, 1, 2, 2});
  const Tensor y = OneOp("MaxPool", {{"kernel_shape", Ints{1, 2}}}).In(x).Run()[0];
  const Tensor plain = y.ToLayout(Layout::kPlain);
  EXPECT_EQ(plain.data<int8_t>()[0], -7);
  EXPECT_EQ(plain.data<int8_t>()[1], 3);
}

TEST(Norm, LayerNormalizationGivesItsStatistics) {
  OneOp op("LayerNormalization", {}, 3);
  const auto y = op.In(TestRamp({2, 4})).In(TestRamp({4})).In(TestRamp({4})).Run();
  ExpectClose(y[0], {2, 4},
              {0.15650952f, 0.30504152f, -0.094958477f, 1.1565095f, -0.59999198f, -0.079977646f,
               -0.47997761f, 0.40000799f});
  ExpectClose(y[1], {2, 1}, {0, 0.05f});
  ExpectClose(y[2], {2, 1}, {2.6260381f, 3.99968f});
}

TEST(Norm, GroupNormalizationScalesByChannel) {
  OneOp op("GroupNormalization", {{"num_groups", int64_t{2}}});
  ExpectClose(op.In(TestRamp({1, 4, 2})).In(TestRamp({4})).In(TestRamp({4})).Run()[0], {1, 4, 2},
              {0.15650958f, -0.76260382f, 0.094958477f, 0.46260387f, -0.23999681f, 0.079977646f,
               1.199944f, 0.40000802f});
}

TEST(Norm, BatchNormalizationInBothLayouts) {
  const Tensor x = TestRamp({2, 5, 3, 3}), p = TestRamp({5}),
               variance = Tensor::Vector<float>({0.5f, 1, 2, 3, 4});
  const auto run = [&](const Tensor& in, size_t threads) {
    return OneOp("BatchNormalization").In(in).In(p).In(p).In(p).In(variance).Run(threads)[0];
  };
  const Tensor want = run(x, 1);
  const float scale = -0.5f / std::sqrt(0.5f + 1e-5f);
  EXPECT_NEAR(want.data<float>()[1], (0.2f + 0.5f) * scale - 0.5f, 1e-6f);
  EXPECT_TRUE(SameBits(run(x.ToLayout(Layout::kChannelsLast), 3), want));
}

TEST(Resize, CubicAlignCorners) {
  OneOp op("Resize", {{"mode", "cubic"}, {"coordinate_transformation_mode", "align_corners"}});
  op.In(TestRamp({1, 1, 2, 2})).In({}).In(Tensor::Vector<float>({1, 1, 2, 2}));
  ExpectClose(op.Run()[0], {1, 1, 4, 4},
              {-0.5f, -0.27962965f, -0.020370616f, 0.2f, -0.40555549f, -0.18518521f, 0.074073814f,
               0.29444432f, -0.29444468f, -0.074074268f, 0.18518499f, 0.40555564f, -0.2f,
               0.02037029f, 0.2796295f, 0.5f});
}

TEST(Resize, LinearAntialiasedInBothLayouts) {
  const Tensor x = TestRamp({1, 1, 4, 4});
  for (const Tensor& in : {x, x.ToLayout(Layout::kChannelsLast)}) {
    OneOp op("Resize", {{"mode", "linear"}, {"antialias", int64_t{1}}});
    op.In(in).In({}).In(Tensor::Vector<float>({1, 1, 0.6f, 0.6f}));
    ExpectClose(op.Run()[0], {1, 1, 2, 2},
                {-0.16718753f, 0.086111113f, -0.076388896f, 0.035802476f});
  }
}

TEST(Recurrent, LstmWithPeepholesClipAndLengths) {
  for (const bool constant : {false, true}) {
    OneOp op("LSTM", {{"hidden_size", int64_t{2}}, {"direction", "bidirectional"}, {"clip", 0.8f}},
             3);
    op.In(TestRamp({2, 2, 3})).In(TestRamp({2, 8, 3}), constant).In(TestRamp({2, 8, 2}), constant);
    op.In(TestRamp({2, 16})).In(Tensor::Vector<int32_t>({2, 1})).In({}).In({}).In(TestRamp({2, 6}));
    const auto y = op.Run(2);
    ExpectClose(y[0], {2, 2, 2, 2},
                {0.087709308f, 0.0028111292f, 0.097963817f, -0.023428448f, -0.23425929f,
                 0.13633604f, -0.098267332f, 0.085055925f, 0.15660717f, 0.011015412f, 0, 0,
                 -0.092805296f, 0.078428343f, 0, 0});
    ExpectClose(y[2], {2, 2, 2},
                {0.33089048f, 0.018668897f, 0.20056467f, -0.041348863f, -0.3953861f, 0.31513238f,
                 -0.19530496f, 0.27879268f});
  }
}

TEST(Recurrent, GruBeforeAndAfterReset) {
  const auto run = [](int64_t before, const char* direction) {
    OneOp op(
        "GRU",
        {{"hidden_size", int64_t{2}}, {"linear_before_reset", before}, {"direction", direction}});
    op.In(TestRamp({2, 1, 3})).In(TestRamp({1, 6, 3})).In(TestRamp({1, 6, 2}));
    return op.In(TestRamp({1, 12})).In({}).In(TestRamp({1, 1, 2})).Run()[0];
  };
  ExpectClose(run(1, "reverse"), {2, 1, 1, 2},
              {-0.18315616f, -0.35920739f, -0.20581466f, -0.075375825f});
  ExpectClose(run(0, "forward"), {2, 1, 1, 2},
              {-0.36598387f, -0.23257077f, -0.20063631f, -0.39481747f});
}

TEST(Recurrent, RnnTakesAnyActivation) {
  OneOp op("RNN", {{"hidden_size", int64_t{2}}, {"activations", std::vector<std::string>{"Relu"}}});
  op.In(TestRamp({2, 1, 3})).In(TestRamp({1, 2, 3})).In(TestRamp({1, 2, 2}));
  ExpectClose(op.Run()[0], {2, 1, 1, 2}, {0.33f, 0, 0, 0.284f});
}

// A query that may see one key only gets that key's value.
TEST(Attention, CausalFirstQuerySeesTheFirstKeyAlone) {
  OneOp op("Attention", {{"is_causal", int64_t{1}}});
  const Tensor x = TestRamp({1, 4, 3, 8}), v = TestRamp({1, 2, 3, 5});
  const Tensor y = op.In(x).In(TestRamp({1, 2, 3, 8})).In(v).Run(2)[0];
  EXPECT_EQ(y.shape(), (Shape{1, 4, 3, 5}));
  for (int64_t h = 0; h < 4; ++h)
    for (int64_t i = 0; i < 5; ++i)
      EXPECT_FLOAT_EQ(y.data<float>()[h * 15 + i], v.data<float>()[h / 2 * 15 + i]);
}

TEST(Attention, FullyMaskedRowsAreZero) {
  const Tensor x = TestRamp({1, 1, 2, 4});
  const Tensor mask = Tensor::Of<bool>({true, true, false, false}, {2, 2});
  const Tensor y = OneOp("Attention").In(x).In(x).In(x).In(mask).Run()[0];
  for (int64_t i = 4; i < 8; ++i) EXPECT_EQ(y.data<float>()[i], 0.0f);
}

TEST(Quantize, RoundsHalfToEvenAndSaturates) {
  const Tensor x = Tensor::Vector<float>({0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 300, -300, NAN});
  OneOp op("QuantizeLinear");
  const Tensor q = op.In(x).In(Tensor::Scalar(1.0f)).In(Tensor::Scalar<int8_t>(1)).Run()[0];
  const std::vector<int8_t> want{1, 3, 3, 1, -1, 127, -128, 1};
  EXPECT_EQ(std::vector<int8_t>(q.data<int8_t>(), q.data<int8_t>() + 8), want);
}

TEST(Quantize, BlocksHaveTheirOwnScaleAndZero) {
  const Tensor codes = Tensor::Of<uint8_t>({1, 2, 3, 4, 5, 6, 7, 8}, {2, 4});
  const Tensor scale = Tensor::Of<float>({1, 2, 3, 4}, {2, 2});
  const Tensor zero = Tensor::Of<uint8_t>({1, 2, 3, 4}, {2, 2});
  OneOp op("DequantizeLinear", {{"block_size", int64_t{2}}, {"axis", int64_t{1}}});
  ExpectClose(op.In(codes).In(scale).In(zero).Run()[0], {2, 4}, {0, 1, 2, 4, 6, 9, 12, 16});
  OneOp wrong("DequantizeLinear", {{"block_size", int64_t{3}}, {"axis", int64_t{1}}});
  EXPECT_THROW(wrong.In(codes).In(scale).In(zero).Run(), UsageError);
}

}  // namespace
}  // namespace mezzo
