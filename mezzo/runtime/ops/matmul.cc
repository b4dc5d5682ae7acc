// MatMul and Gemm. Float32 runs on sgemm.h; other number types in plain loops.
#include "mezzo/runtime/ops/matmul.h"

#include <algorithm>
#include <mutex>

#include "mezzo/kernels/sgemm/sgemm.h"
#include "mezzo/runtime/ops/families.h"
#include "mezzo/runtime/ops/float_io.h"

namespace mezzo {
namespace {

// Strides of `dims` (leading dimensions of a shape) when broadcast to `out`, in matrices.
std::vector<int64_t> BatchStrides(const Shape& dims, const Shape& out) {
  std::vector<int64_t> strides(out.size(), 0);
  int64_t step = 1;
  for (size_t i = 0; i < dims.size(); ++i) {
    const size_t from = dims.size() - 1 - i, to = out.size() - 1 - i;
    if (dims[from] != 1) strides[to] = step;
    step *= dims[from];
  }
  return strides;
}

Shape BroadcastBatch(const Node& node, const Shape& a, const Shape& b) {
  Shape out(std::max(a.size(), b.size()));
  for (size_t i = 0; i < out.size(); ++i) {
    const int64_t da = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int64_t db = i < b.size() ? b[b.size() - 1 - i] : 1;
    Require(da == db || da == 1 || db == 1, "MatMul ", node.name, ": batches ", ToString(a),
            " and ", ToString(b), " do not broadcast");
    out[out.size() - 1 - i] = da == 1 ? db : da;
  }
  return out;
}

int64_t Offset(int64_t index, const Shape& dims, const std::vector<int64_t>& strides) {
  int64_t offset = 0;
  for (size_t i = dims.size(); i-- > 0; index /= dims[i]) offset += index % dims[i] * strides[i];
  return offset;
}

// Integers modulo 2^bits.
template <class T>
void PlainProduct(const T* a, const T* b, T* c, int64_t m, int64_t n, int64_t k) {
  using Sum = std::conditional_t<std::is_integral_v<T>, uint64_t, T>;
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      Sum sum{};
      for (int64_t t = 0; t < k; ++t)
        sum += static_cast<Sum>(a[i * k + t]) * static_cast<Sum>(b[t * n + j]);
      c[i * n + j] = static_cast<T>(sum);
    }
}

// Every product of the batch: many small ones run side by side, a few large ones in turn.
void FloatProducts(const MatMulShape& s, const float* a, const float* b, float* c,
                   const Threads& threads) {
  const int64_t count = NumElements(s.batch);
  const auto one = [&](int64_t i, const Threads& inner) {
    const float* bi = b + Offset(i, s.batch, s.b_strides) * s.k * s.n;
    const PackedB packed(bi, s.k, s.n, s.n, 1, inner);
    Sgemm(a + Offset(i, s.batch, s.a_strides) * s.m * s.k, s.k, s.m, packed, c + i * s.m * s.n, s.n,
          {}, inner);
  };
  if (count >= static_cast<int64_t>(threads.count()))
    return threads.Each(count, [&](size_t i, size_t) { one(i, Threads()); });
  for (int64_t i = 0; i < count; ++i) one(i, threads);
}

void MatMul(OpContext& ctx) {
  const Tensor &a = ctx.Plain(0), &b = ctx.Plain(1);
  Require(a.dtype() == b.dtype(), "MatMul ", ctx.node.name, ": ", Name(a.dtype()), " times ",
          Name(b.dtype()));
  const MatMulShape s = ReadMatMulShape(ctx.node, a.shape(), b.shape());
  Tensor y(a.dtype(), s.out);
  if (a.dtype() != DType::kFloat32) {
    WithType(a.dtype(), [&]<class T>() {
      for (int64_t i = 0; i < NumElements(s.batch); ++i)
        PlainProduct(a.data<T>() + Offset(i, s.batch, s.a_strides) * s.m * s.k,
                     b.data<T>() + Offset(i, s.batch, s.b_strides) * s.k * s.n,
                     y.data<T>() + i * s.m * s.n, s.m, s.n, s.k);
    });
  } else if (b.rank() <= 2 && ctx.constant[1]) {
    const PackedB& packed = ctx.state.Get<PackedB>(
        [&] { return std::make_shared<PackedB>(b.data<float>(), s.k, s.n, s.n, 1, ctx.threads); });
    // One matrix B for the whole batch: one product with all rows.
    Sgemm(a.data<float>(), s.k, s.n == 0 ? 0 : y.numel() / s.n, packed, y.data<float>(), s.n, {},
          ctx.threads);
  } else {
    FloatProducts(s, a.data<float>(), b.data<float>(), y.data<float>(), ctx.threads);
  }
  ctx.out[0] = y;
}

// (rows, columns) transposed.
Tensor Transpose(const Tensor& t) {
  const int64_t rows = t.dim(0), columns = t.dim(1);
  Tensor y(t.dtype(), {columns, rows});
  const float* from = t.data<float>();
  float* to = y.data<float>();
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) to[j * rows + i] = from[i * columns + j];
  return y;
}

// y = alpha * y + beta * c, with c broadcast over (m, n).
void AddScaled(const Node& node, const Tensor& c, float alpha, float beta, Tensor& y) {
  const int64_t n = y.dim(1);
  Shape shape = c.defined() ? c.shape() : Shape{};
  while (shape.size() < 2) shape.insert(shape.begin(), 1);
  Require(shape.size() == 2 && (shape[0] == 1 || shape[0] == y.dim(0)) &&
              (shape[1] == 1 || shape[1] == n),
          "Gemm ", node.name, ": C ", ToString(shape), " does not broadcast to ",
          ToString(y.shape()));
  const int64_t row = shape[0] == 1 ? 0 : shape[1], column = shape[1] == 1 ? 0 : 1;
  const float* add = c.defined() ? c.data<float>() : nullptr;
  float* v = y.data<float>();
  for (int64_t i = 0; i < y.dim(0); ++i)
    for (int64_t j = 0; j < n; ++j, ++v) {
      *v = alpha * *v;
      if (add) *v += beta * add[i * row + j * column];
    }
}

void Gemm(OpContext& ctx) {
  const Node& node = ctx.node;
  Tensor a = ctx.Plain(0);
  const Tensor& b = ctx.Plain(1);
  const Tensor c = ctx.Has(2) ? ctx.Plain(2) : Tensor();
  Require(a.rank() == 2 && b.rank() == 2, "Gemm ", node.name, ": A ", ToString(a.shape()),
          " and B ", ToString(b.shape()), " must be matrices");
  if (node.Int("transA", 0)) a = Transpose(a);
  const bool turned = node.Int("transB", 0) != 0;
  const int64_t m = a.dim(0), k = a.dim(1), n = b.dim(turned ? 0 : 1);
  Require(b.dim(turned ? 1 : 0) == k, "Gemm ", node.name, ": A ", ToString(a.shape()), " and B ",
          ToString(b.shape()), " do not fit");
  const auto pack = [&] {
    return std::make_shared<PackedB>(b.data<float>(), k, n, turned ? 1 : n, turned ? k : 1,
                                     ctx.threads);
  };
  std::shared_ptr<PackedB> made = ctx.constant[1] ? nullptr : pack();
  const PackedB& packed = made ? *made : ctx.state.Get<PackedB>(pack);

  const float alpha = node.Float("alpha", 1.0f), beta = node.Float("beta", 1.0f);
  // A C that is a bias or has the result's shape begins the sums.
  const bool plain = c.defined() && alpha == 1.0f && beta == 1.0f;
  const bool bias = plain && c.numel() == n && (c.rank() == 1 || (c.rank() == 2 && c.dim(0) == 1));
  const bool whole = plain && !bias && c.shape() == Shape{m, n};
  Tensor y(DType::kFloat32, {m, n});
  Sgemm(a.data<float>(), k, m, packed, y.data<float>(), n,
        {bias || whole ? c.data<float>() : nullptr, whole ? n : 0}, ctx.threads);
  if (!bias && !whole && (c.defined() || alpha != 1.0f)) AddScaled(node, c, alpha, beta, y);
  ctx.out[0] = y;
}

}  // namespace

MatMulShape ReadMatMulShape(const Node& node, Shape a, Shape b) {
  Require(!a.empty() && !b.empty(), "MatMul ", node.name, ": inputs ", ToString(a), " and ",
          ToString(b), " must have a dimension");
  const bool row = a.size() == 1, column = b.size() == 1;
  if (row) a.insert(a.begin(), 1);
  if (column) b.push_back(1);
  MatMulShape s;
  s.m = a[a.size() - 2], s.k = a.back(), s.n = b.back();
  Require(b[b.size() - 2] == s.k, "MatMul ", node.name, ": inputs ", ToString(a), " and ",
          ToString(b), " do not fit");
  a.resize(a.size() - 2), b.resize(b.size() - 2);
  s.batch = BroadcastBatch(node, a, b);
  s.a_strides = BatchStrides(a, s.batch), s.b_strides = BatchStrides(b, s.batch);
  s.out = s.batch;
  if (!row) s.out.push_back(s.m);
  if (!column) s.out.push_back(s.n);
  return s;
}

void AddMatmul(OpTable& table) {
  const OpFn matmul = [](OpContext& ctx) {
    // Plain loops exist for float64; only the half types go through float32.
    ctx.Plain(0).dtype() == DType::kFloat64 ? MatMul(ctx) : AsFloat32<MatMul>(ctx);
  };
  table.Add("MatMul", matmul);
  table.Add("Gemm", AsFloat32<Gemm>);
}

}  // namespace mezzo
