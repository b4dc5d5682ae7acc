// RotaryEmbedding (opset 23): (x1, x2) to (cos x1 - sin x2, sin x1 + cos x2), where the pairs are
// the two halves of the rotated channels, or neighbours if interleaved.
#include "mezzo/kernels/vmath/rows.h"
#include "mezzo/runtime/ops/attention.h"

namespace mezzo {
namespace {

struct Rotation {
  int64_t half;  // pairs
  bool interleaved;

  void Apply(const float* x, const float* cos, const float* sin, float* y) const {
    if (!interleaved) return RotateHalves(x, cos, sin, half, y);
    for (int64_t i = 0; i < half; ++i) {
      const float a = x[2 * i], b = x[2 * i + 1];
      y[2 * i] = cos[i] * a - sin[i] * b;
      y[2 * i + 1] = sin[i] * a + cos[i] * b;
    }
  }
};

}  // namespace

void RotaryEmbedding(OpContext& ctx) {
  const Tensor &x = ctx.Plain(0), &cos = ctx.Plain(1), &sin = ctx.Plain(2);
  const bool four = x.rank() == 4;
  const int64_t heads = four ? x.dim(1) : ctx.node.Int("num_heads", 0);
  Require((four || x.rank() == 3) && heads > 0, "RotaryEmbedding ", ctx.node.name, ": input ",
          ToString(x.shape()), " with ", heads, " heads");
  const int64_t batch = x.dim(0), steps = x.dim(four ? 2 : 1);
  const int64_t depth = four ? x.dim(3) : x.dim(2) / heads;
  int64_t turned = ctx.node.Int("rotary_embedding_dim", 0);
  if (turned == 0) turned = depth;
  const Rotation rotation{turned / 2, ctx.node.Int("interleaved", 0) != 0};
  Require(turned <= depth && cos.rank() >= 2 && cos.shape() == sin.shape() &&
              cos.dim(cos.rank() - 1) == rotation.half,
          "RotaryEmbedding ", ctx.node.name, ": caches ", ToString(cos.shape()), " and ",
          ToString(sin.shape()), " for ", turned, " of ", depth, " channels");
  const int64_t rows = rotation.half == 0 ? 0 : cos.numel() / rotation.half;
  const auto positions = ctx.Has(3) ? ToInts(ctx.Plain(3)) : std::vector<int64_t>();
  Require(!positions.empty() || rows == batch * steps, "RotaryEmbedding ", ctx.node.name,
          ": caches ", ToString(cos.shape()), " for ", batch, " x ", steps, " positions");
  Tensor y = x.Clone();
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t s = 0; s < steps; ++s) {
      const int64_t at = b * steps + s, row = positions.empty() ? at : positions.at(at);
      Require(row >= 0 && row < rows, "RotaryEmbedding ", ctx.node.name, ": position ", row, " of ",
              rows);
      for (int64_t h = 0; h < heads; ++h) {
        const int64_t i = (four ? (b * heads + h) * steps + s : at * heads + h) * depth;
        rotation.Apply(x.data<float>() + i, cos.data<float>() + row * rotation.half,
                       sin.data<float>() + row * rotation.half, y.data<float>() + i);
      }
    }
  ctx.out[0] = y;
}

}  // namespace mezzo
