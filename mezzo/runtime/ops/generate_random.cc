// Random tensors. The same seed gives the same numbers; without one the seed is 0, so that a model
// gives the same answers every time.
//
// SplitMix64: Steele, Lea, Flood 2014, https://doi.org/10.1145/2660193.2660195.
#include <bit>
#include <cmath>

#include "mezzo/runtime/ops/generate.h"
#include "mezzo/runtime/ops/op_util.h"

namespace mezzo {
namespace {

class Random {
 public:
  explicit Random(const Node& node)
      : state_(std::bit_cast<uint32_t>(node.Float("seed", 0.0f)) + 0x9e3779b97f4a7c15ull) {}

  double Uniform() {  // in [0, 1)
    state_ += 0x9e3779b97f4a7c15ull;
    uint64_t z = state_;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return static_cast<double>((z ^ z >> 31) >> 11) * 0x1p-53;
  }
  double Normal() {  // Box and Muller
    const double radius = std::sqrt(-2 * std::log(1 - Uniform()));
    return radius * std::cos(2 * M_PI * Uniform());
  }

 private:
  uint64_t state_;
};

template <class Draw>
Tensor Fill(const Shape& shape, DType dtype, const Draw& draw) {
  Tensor t(DType::kFloat64, shape);
  for (double& v : t.span<double>()) v = draw();
  return Cast(t, dtype);
}

Tensor Normal(const Node& node, const Shape& shape, DType dtype) {
  Random random(node);
  const double mean = node.Float("mean", 0.0f), scale = node.Float("scale", 1.0f);
  return Fill(shape, dtype, [&] { return mean + scale * random.Normal(); });
}

Tensor Uniform(const Node& node, const Shape& shape, DType dtype) {
  Random random(node);
  const double low = node.Float("low", 0.0f), high = node.Float("high", 1.0f);
  return Fill(shape, dtype, [&] { return low + (high - low) * random.Uniform(); });
}

using Generator = Tensor (*)(const Node&, const Shape&, DType);

template <Generator make>
void OfShape(OpContext& ctx) {
  ctx.out[0] = make(ctx.node, ctx.node.Ints("shape"), static_cast<DType>(ctx.node.Int("dtype", 1)));
}

template <Generator make>
void Like(OpContext& ctx) {
  const Tensor& x = ctx.in[0];
  ctx.out[0] = make(ctx.node, x.shape(),
                    static_cast<DType>(ctx.node.Int("dtype", static_cast<int>(x.dtype()))));
}

// 1 with the probability that the input holds.
void Bernoulli(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  const Tensor p = Cast(x, DType::kFloat64);
  Random random(ctx.node);
  const double* at = p.data<double>();
  ctx.out[0] =
      Fill(x.shape(), static_cast<DType>(ctx.node.Int("dtype", static_cast<int>(x.dtype()))),
           [&] { return random.Uniform() < *at++ ? 1.0 : 0.0; });
}

}  // namespace

void AddRandom(OpTable& table) {
  table.Add("RandomNormal", &OfShape<&Normal>);
  table.Add("RandomUniform", &OfShape<&Uniform>);
  table.Add("RandomNormalLike", &Like<&Normal>);
  table.Add("RandomUniformLike", &Like<&Uniform>);
  table.Add("Bernoulli", &Bernoulli);
}

}  // namespace mezzo
