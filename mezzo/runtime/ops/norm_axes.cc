// Normalizations over trailing or given axes: LayerNormalization, RMSNormalization,
// LpNormalization, MeanVarianceNormalization.
#include <cmath>

#include "mezzo/kernels/vmath/rows.h"
#include "mezzo/kernels/vmath/vmath.h"
#include "mezzo/runtime/ops/float_io.h"
#include "mezzo/runtime/ops/norm.h"
#include "mezzo/runtime/ops/op_util.h"
#include "mezzo/runtime/ops/strided_copy.h"

namespace mezzo {

CenterAndFactor LayerNormRow(const float* x, const float* scale, const float* bias, int64_t n,
                             float epsilon, float* y) {
  const vmath::Moments m = vmath::MomentsOf(x, static_cast<size_t>(n));
  const auto center = static_cast<float>(m.mean);
  const auto factor = static_cast<float>(1.0 / std::sqrt(m.variance + epsilon));
  vmath::Normalize(x, center, factor, scale, bias, y, static_cast<size_t>(n));
  return {center, factor};
}

namespace {

// A scale or bias that broadcasts to x, seen from rows of `length`: element j of row r is
// values[Offset(r) + j] if whole; repeated values are written out first.
struct Affine {
  Tensor values;
  int64_t rows = 0;  // that it has; row r uses r % rows... only the leading ones can repeat

  const float* Row(int64_t r, int64_t length) const {
    return rows == 0 ? nullptr : values.data<float>() + r % rows * length;
  }
};

Affine ReadAffine(OpContext& ctx, size_t i, const Shape& shape, size_t axis) {
  if (!ctx.Has(i)) return {};
  const Tensor& t = ctx.Plain(i);
  Require(t.rank() <= shape.size(), ctx.node.op_type, " ", ctx.node.name, ": input ", i, " is ",
          ToString(t.shape()), " for an input ", ToString(shape));
  const Shape inner(shape.begin() + axis, shape.end());
  if (t.shape() == inner) return {t, 1};
  const size_t missing = shape.size() - t.rank();
  std::vector<int64_t> strides(shape.size(), 0);
  const std::vector<int64_t> own = PlainStrides(t.shape());
  for (size_t d = 0; d < t.rank(); ++d) {
    Require(t.dim(d) == 1 || t.dim(d) == shape[missing + d], ctx.node.op_type, " ", ctx.node.name,
            ": input ", i, " is ", ToString(t.shape()), " for an input ", ToString(shape));
    strides[missing + d] = t.dim(d) == 1 ? 0 : own[d];
  }
  Tensor whole(DType::kFloat32, shape);
  CopyStrided(t.raw(), shape, strides, whole.raw(), sizeof(float), ctx.threads);
  return {whole, NumElements({shape.begin(), shape.begin() + axis})};
}

struct Rows {
  size_t axis;
  int64_t count = 1, length = 1;
  Shape statistics;  // the shape with 1 for the normalized axes

  Rows(const Node& node, const Shape& shape)
      : axis(NormalAxis(node.Int("axis", -1), shape.size())), statistics(shape) {
    for (size_t i = 0; i < shape.size(); ++i) (i < axis ? count : length) *= shape[i];
    std::fill(statistics.begin() + axis, statistics.end(), 1);
  }
};

void LayerNormalization(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  const Rows rows(ctx.node, x.shape());
  const Affine scale = ReadAffine(ctx, 1, x.shape(), rows.axis);
  const Affine bias = ReadAffine(ctx, 2, x.shape(), rows.axis);
  const float epsilon = ctx.node.Float("epsilon", 1e-5f);
  Tensor y(DType::kFloat32, x.shape());
  Tensor mean(DType::kFloat32, rows.statistics), inverse(DType::kFloat32, rows.statistics);
  ctx.threads.For(rows.count, 1 + kGrain / (4 * rows.length), [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r) {
      const auto [center, factor] = LayerNormRow(
          x.data<float>() + r * rows.length, scale.Row(r, rows.length), bias.Row(r, rows.length),
          rows.length, epsilon, y.data<float>() + r * rows.length);
      mean.data<float>()[r] = center, inverse.data<float>()[r] = factor;
    }
  });
  ctx.out[0] = y;
  if (ctx.out.size() > 1) ctx.out[1] = mean;
  if (ctx.out.size() > 2) ctx.out[2] = inverse;
}

void RmsNormalization(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  const Rows rows(ctx.node, x.shape());
  const Affine scale = ReadAffine(ctx, 1, x.shape(), rows.axis);
  const float epsilon = ctx.node.Float("epsilon", 1e-5f);
  Tensor y(DType::kFloat32, x.shape());
  ctx.threads.For(rows.count, 1 + kGrain / (4 * rows.length), [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r) {
      RmsNormRow(x.data<float>() + r * rows.length, scale.Row(r, rows.length), rows.length, epsilon,
                 y.data<float>() + r * rows.length);
    }
  });
  ctx.out[0] = y;
}

void LpNormalization(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  const AxisView v(x.shape(), NormalAxis(ctx.node.Int("axis", -1), x.rank()));
  const int64_t p = ctx.node.Int("p", 2);
  Require(p == 1 || p == 2, "LpNormalization ", ctx.node.name, ": p is ", p, ", must be 1 or 2");
  Tensor y(DType::kFloat32, x.shape());
  for (int64_t o = 0; o < v.outer; ++o)
    for (int64_t i = 0; i < v.inner; ++i) {
      const float* in = x.data<float>() + o * v.length * v.inner + i;
      float* out = y.data<float>() + o * v.length * v.inner + i;
      double sum = 0;
      for (int64_t k = 0; k < v.length; ++k) {
        const double value = in[k * v.inner];
        sum += p == 1 ? std::abs(value) : value * value;
      }
      const auto norm = static_cast<float>(p == 1 ? sum : std::sqrt(sum));
      for (int64_t k = 0; k < v.length; ++k)
        out[k * v.inner] = norm == 0 ? 0.0f : in[k * v.inner] / norm;
    }
  ctx.out[0] = y;
}

// (x - mean) / (deviation + 1e-9) over `axes`, as ONNX's function body has it.
void MeanVarianceNormalization(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  const auto flags = AxisFlags(ctx.node.Ints("axes", {0, 2, 3}), x.rank());
  // Bring the reduced axes to the end, work on rows, and go back.
  std::vector<int64_t> order, back(x.rank());
  for (const bool reduced : {false, true})
    for (size_t i = 0; i < x.rank(); ++i)
      if ((flags[i] != 0) == reduced) order.push_back(static_cast<int64_t>(i));
  for (size_t i = 0; i < order.size(); ++i) back[order[i]] = static_cast<int64_t>(i);
  Tensor t = TransposeTensor(x, order, ctx.threads).Clone();
  int64_t length = 1;
  for (size_t i = 0; i < x.rank(); ++i) length *= flags[i] ? x.dim(i) : 1;
  for (int64_t r = 0; r < (length == 0 ? 0 : t.numel() / length); ++r) {
    float* row = t.data<float>() + r * length;
    const vmath::Moments m = vmath::MomentsOf(row, length);
    const double deviation = std::sqrt(m.variance) + 1e-9;
    for (int64_t i = 0; i < length; ++i) row[i] = static_cast<float>((row[i] - m.mean) / deviation);
  }
  ctx.out[0] = TransposeTensor(t, back, ctx.threads);
}

}  // namespace

void AddNormOverAxes(OpTable& table) {
  table.Add("LayerNormalization", AsFloat32<LayerNormalization>);
  table.Add("RMSNormalization", AsFloat32<RmsNormalization>);
  table.Add("LpNormalization", AsFloat32<LpNormalization>);
  table.Add("MeanVarianceNormalization", AsFloat32<MeanVarianceNormalization>);
}

}  // namespace mezzo
