#include "mezzo/runtime/ops/conv.h"

#include "mezzo/runtime/ops/one_op_test.h"
#include "mezzo/tensor/normal_test.h"

namespace mezzo {
namespace {

using Ints = std::vector<int64_t>;

struct Layer {
  Shape x, w;
  int64_t groups;
  std::map<std::string, Attribute> attributes;
};

// Shapes of real networks, small: pointwise, strided, dilated, grouped, depthwise, odd channels, 1D
// and 3D.
std::vector<Layer> Layers() {
  return {
      {{2, 3, 17, 19}, {32, 3, 3, 3}, 1, {{"strides", Ints{2, 2}}, {"pads", Ints{0, 0, 1, 1}}}},
      {{2, 24, 14, 14}, {40, 24, 1, 1}, 1, {}},
      {{3, 70, 7, 7}, {33, 70, 3, 3}, 1, {{"pads", Ints{1, 1, 1, 1}}}},
      {{2, 300, 5, 5}, {16, 300, 3, 3}, 1, {{"pads", Ints{1, 1, 1, 1}}}},
      {{2, 8, 12, 12}, {8, 8, 3, 3}, 1, {{"dilations", Ints{2, 3}}, {"pads", Ints{2, 3, 2, 3}}}},
      {{2, 12, 9, 9}, {18, 4, 3, 3}, 3, {{"auto_pad", "SAME_LOWER"}, {"strides", Ints{2, 2}}}},
      {{2, 29, 13, 13}, {29, 1, 5, 5}, 29, {{"auto_pad", "SAME_UPPER"}}},
      {{2, 32, 11, 11}, {32, 1, 3, 3}, 32, {{"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}}},
      {{2, 4, 9, 9}, {8, 1, 3, 3}, 4, {}},
      {{2, 6, 40}, {10, 6, 5}, 1, {{"pads", Ints{4, 0}}}},
      {{1, 3, 5, 6, 7}, {4, 3, 2, 3, 2}, 1, {{"pads", Ints{1, 0, 0, 0, 1, 1}}}},
  };
}

OneOp MakeConv(const Layer& l, const Tensor& x, bool constant) {
  auto attributes = l.attributes;
  attributes["group"] = l.groups;
  return OneOp("Conv", attributes)
      .In(x)
      .In(NormalTensor(l.w, 2), constant)
      .In(NormalTensor({l.w[0]}, 3), constant);
}

TEST(Conv, EqualsPlainTwinBitForBit) {
  for (const Layer& l : Layers()) {
    SCOPED_TRACE(Cat(ToString(l.x), " * ", ToString(l.w)));
    const Tensor x = NormalTensor(l.x, 1);
    const OneOp op = MakeConv(l, x, true);
    const Window window = ReadWindow(op.graph.nodes[0], l.x, {l.w.begin() + 2, l.w.end()});
    const Tensor want =
        ConvRef(x, NormalTensor(l.w, 2), NormalTensor({l.w[0]}, 3), window, l.groups);
    for (const size_t threads : {1, 2, 3, 4, 8}) EXPECT_TRUE(SameBits(op.Run(threads)[0], want));
    EXPECT_TRUE(SameBits(MakeConv(l, x, false).Run()[0], want)) << "weights that are computed";
    EXPECT_TRUE(SameBits(MakeConv(l, x.ToLayout(Layout::kChannelsLast), true).Run()[0], want));
  }
}

TEST(Conv, ASampleDoesNotDependOnItsBatch) {
  for (const Layer& l : Layers()) {
    const Tensor x = NormalTensor(l.x, 1);
    const Tensor all = MakeConv(l, x, true).Run(2)[0];
    Layer one = l;
    one.x[0] = 1;
    const int64_t last = l.x[0] - 1, size = x.numel() / l.x[0], out = all.numel() / l.x[0];
    Tensor sample(DType::kFloat32, one.x);
    std::copy_n(x.data<float>() + last * size, size, sample.data<float>());
    const Tensor y = MakeConv(one, sample, true).Run(3)[0];
    EXPECT_EQ(std::memcmp(y.raw(), all.data<float>() + last * out, y.bytes()), 0)
        << ToString(l.x) << " * " << ToString(l.w);
  }
}

TEST(Conv, RefusesShapesThatDoNotFit) {
  EXPECT_THROW(
      OneOp("Conv").In(NormalTensor({1, 4, 5, 5}, 1)).In(NormalTensor({8, 3, 3, 3}, 2)).Run(),
      UsageError);
  EXPECT_THROW(
      OneOp("Conv").In(NormalTensor({1, 4, 2, 2}, 1)).In(NormalTensor({8, 4, 3, 3}, 2)).Run(),
      UsageError);
  EXPECT_THROW(OneOp("Conv")
                   .In(NormalTensor({1, 4, 5, 5}, 1))
                   .In(NormalTensor({8, 4, 3, 3}, 2))
                   .In(NormalTensor({7}, 3))
                   .Run(),
               UsageError);
}

TEST(Conv, TransposedAsOnnxRuntime) {
  const Tensor x = TestRamp({1, 2, 2, 2}), w = TestRamp({2, 1, 3, 3});
  const Tensor bias = Tensor::Vector<float>({0.5f, -0.5f});
  OneOp op("ConvTranspose", {{"group", int64_t{2}},
                             {"strides", Ints{2, 2}},
                             {"pads", Ints{1, 0, 0, 1}},
                             {"output_padding", Ints{1, 0}}});
  op.In(x).In(w, true).In(bias, true);
  const std::vector<float> want = {0.25f,  0.45f,  0.75f,  0.52f,  0.4f,   0.46f,  0.57f,  0.6f,
                                   0.4f,   0.48f,  0.81f,  0.55f,  0.42f,  0.5f,   0.78f,  0.5f,
                                   0.5f,   0.5f,   0.5f,   0.5f,   -0.48f, -0.52f, -0.51f, -0.44f,
                                   -0.37f, -0.57f, -0.69f, -0.41f, -0.42f, -0.58f, -0.3f,  -0.5f,
                                   -0.46f, -0.62f, -0.34f, -0.5f,  -0.5f,  -0.5f,  -0.5f,  -0.5f};
  ExpectClose(op.Run()[0], {1, 2, 5, 4}, want);
  EXPECT_TRUE(SameBits(op.Run(1)[0], op.Run(3)[0]));
}

}  // namespace
}  // namespace mezzo
