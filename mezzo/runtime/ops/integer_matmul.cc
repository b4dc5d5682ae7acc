// mezzo:QMatMul (lower.h), and ONNX's QLinearMatMul and MatMulInteger, with NumPy's rules for
// vectors and for broadcasting of batches.
#include "mezzo/base/cpu.h"
#include "mezzo/runtime/ops/broadcast.h"
#include "mezzo/runtime/ops/integer.h"

namespace mezzo {
namespace {

// A product of batches of matrices, vectors made matrices.
struct MatMulShape {
  size_t rows, depth, cols;
  Shape batch;                                // of the result
  std::vector<int64_t> a_strides, b_strides;  // per batch dimension, in matrices; 0 where repeated
  Shape out;
  bool transpose_b;

  size_t batches() const { return static_cast<size_t>(NumElements(batch)); }
};

std::vector<int64_t> BatchStrides(const Shape& own, const Shape& batch) {
  std::vector<int64_t> strides(batch.size(), 0);
  int64_t step = 1;
  for (size_t i = own.size(); i-- > 0; step *= own[i])
    if (own[i] != 1) strides[batch.size() - own.size() + i] = step;
  return strides;
}

MatMulShape ShapeOf(const Shape& a_shape, const Shape& b_shape, bool transpose_b) {
  const auto require = [&](bool ok, const char* what) {
    Require(ok, "got shapes ", ToString(a_shape), " and ", ToString(b_shape), what);
  };
  Shape a = a_shape, b = b_shape;
  require(!a.empty() && !b.empty(), ", needs matrices");
  const bool a_vector = a.size() == 1, b_vector = b.size() == 1;
  if (a_vector) a.insert(a.begin(), 1);
  if (b_vector) b.push_back(1);
  MatMulShape s;
  s.transpose_b = transpose_b;
  if (transpose_b) std::swap(b[b.size() - 1], b[b.size() - 2]);
  require(a.back() == b[b.size() - 2], ", which do not multiply");
  s.rows = static_cast<size_t>(a[a.size() - 2]);
  s.depth = static_cast<size_t>(a.back());
  s.cols = static_cast<size_t>(b.back());
  const Shape a_batch(a.begin(), a.end() - 2), b_batch(b.begin(), b.end() - 2);
  s.batch = BroadcastShape(a_batch, b_batch);
  s.a_strides = BatchStrides(a_batch, s.batch);
  s.b_strides = BatchStrides(b_batch, s.batch);
  s.out = s.batch;
  if (!a_vector) s.out.push_back(static_cast<int64_t>(s.rows));
  if (!b_vector) s.out.push_back(static_cast<int64_t>(s.cols));
  // one right-hand matrix for all: the batch is only more rows
  if (b_batch.empty()) {
    s.rows *= s.batches();
    s.batch.clear();
  }
  return s;
}

size_t MatrixOf(const MatMulShape& s, const std::vector<int64_t>& strides, size_t batch) {
  int64_t at = 0;
  for (size_t d = s.batch.size(); d-- > 0;) {
    const auto size = static_cast<size_t>(s.batch[d]);
    at += static_cast<int64_t>(batch % size) * strides[d];
    batch /= size;
  }
  return static_cast<size_t>(at);
}

// Packed: QQuads or QWeights; `more` are Pack's arguments behind the zero points.
template <class Packed, class... More>
Packed PackB(const MatMulShape& s, QCodes b, std::span<const int32_t> zeros, More... more) {
  const auto [row, col] =
      s.transpose_b ? std::pair{size_t{1}, s.depth} : std::pair{s.cols, size_t{1}};
  return Packed::Pack(b, s.depth, s.cols, row, col, zeros, more...);
}

// f(matrix of b, packed).
template <class F>
void WithPackedB(const MatMulShape& s, QCodes b, size_t matrix, std::span<const int32_t> zeros,
                 const F& f) {
  b.data = static_cast<const uint8_t*>(b.data) + matrix * s.depth * s.cols;
  if (s.transpose_b)
    f(PackB<QWeights>(s, b, zeros));
  else
    WithPackedOnce(b, s.depth, s.cols, s.cols, zeros, f);
}

struct Prepared {
  QQuads weights;  // empty if b varies
  QOutput out;
};

// Rows of the batch-th product; one zero point for all rows or one for each.
template <class W>
void RunMatrix(const OpContext& ctx, const MatMulShape& s, QCodes a,
               std::span<const int32_t> a_zero, const W& w, const QOutput& out, size_t batch,
               Tensor& y, const Threads& threads) {
  const size_t element = out.ElementSize();
  const auto* from =
      static_cast<const uint8_t*>(a.data) + MatrixOf(s, s.a_strides, batch) * s.rows * s.depth;
  char* to = static_cast<char*>(y.raw()) + batch * s.rows * s.cols * element;
  QGemmArgs args{{from, a.is_signed}, s.rows, s.depth, a_zero.empty() ? 0 : a_zero[0], to, s.cols};
  if (a_zero.size() <= 1) return RunQGemm(ctx, args, w, out, threads);
  args.rows = 1;
  for (size_t r = 0; r < s.rows; ++r) {
    args.x.data = from + r * s.depth;
    args.x_zero = a_zero[r % a_zero.size()];
    args.y = to + r * s.cols * element;
    RunQGemm(ctx, args, w, out, threads);
  }
}

void Run(OpContext& ctx, const MatMulShape& s, const Tensor& a, std::span<const int32_t> a_zero,
         const Tensor& b, std::span<const int32_t> b_zero, const Prepared& p) {
  Tensor y(TypeOf(p.out.kind), s.out);
  const QCodes a_codes = CodesOf(a);
  if (s.batches() == 1) {
    if (p.weights.cols() == s.cols && p.weights.depth() == s.depth)
      RunMatrix(ctx, s, a_codes, a_zero, p.weights, p.out, 0, y, ctx.threads);
    else
      WithPackedB(s, CodesOf(b), 0, b_zero, [&](const auto& w) {
        RunMatrix(ctx, s, a_codes, a_zero, w, p.out, 0, y, ctx.threads);
      });
  } else {
    ctx.threads.Each(s.batches(), [&](size_t batch, size_t) {
      WithPackedB(s, CodesOf(b), MatrixOf(s, s.b_strides, batch), b_zero, [&](const auto& w) {
        RunMatrix(ctx, s, a_codes, a_zero, w, p.out, batch, y, Threads());
      });
    });
  }
  ctx.out[0] = std::move(y);
}

// With weights packed where b is the same at every run.
Prepared Prepare(const OpContext& ctx, size_t b_index, const MatMulShape& s,
                 std::span<const int32_t> b_zero, QOutput out) {
  Prepared p{{}, std::move(out)};
  if (!ctx.constant[b_index] || s.batches() != 1) return p;
  p.weights = PackB<QQuads>(s, CodesOf(ctx.in[b_index]), b_zero, s.depth);
  return p;
}

// Keeps what make() prepares if all inputs but the first are the same at every run: then so are the
// columns, which an output stage is made for.
template <class Make>
void RunPrepared(OpContext& ctx, const MatMulShape& s, const Tensor& a,
                 std::span<const int32_t> a_zero, const Tensor& b, std::span<const int32_t> b_zero,
                 Make&& make) {
  bool constant = s.batches() == 1;
  for (size_t i = 1; i < ctx.in.size(); ++i) constant &= !ctx.Has(i) || ctx.constant[i];
  if (constant)
    Run(ctx, s, a, a_zero, b, b_zero,
        ctx.state.Get<Prepared>([&] { return std::make_shared<Prepared>(make()); }));
  else
    Run(ctx, s, a, a_zero, b, b_zero, make());
}

std::vector<int32_t> BZeroPoints(const Node& node) {
  std::vector<int32_t> zeros;
  for (const int64_t z : node.Ints("b_zero_points")) zeros.push_back(static_cast<int32_t>(z));
  return zeros;
}

Prepared MakeQMatMul(OpContext& ctx, const MatMulShape& s) {
  const Tensor bias = ctx.Has(2) ? ctx.Plain(2) : Tensor();
  return Prepare(ctx, 1, s, BZeroPoints(ctx.node),
                 OutputOf(ctx.node, s.cols, bias.defined() ? &bias : nullptr));
}

// a, b, [bias]
void QMatMulOp(OpContext& ctx) {
  const Tensor &a = ctx.Plain(0), &b = ctx.Plain(1);
  const MatMulShape s = ShapeOf(a.shape(), b.shape(), ctx.node.Int("transpose_b", 0) != 0);
  const int32_t a_zero[] = {static_cast<int32_t>(ctx.node.Int("a_zero_point", 0))};
  RunPrepared(ctx, s, a, a_zero, b, BZeroPoints(ctx.node), [&] { return MakeQMatMul(ctx, s); });
}

void PrepareQMatMul(OpContext& ctx) {
  if (!ctx.Has(1) || ctx.Has(2) != ctx.node.HasInput(2)) return;
  const Tensor& b = ctx.Plain(1);
  if (b.rank() != 2) return;
  const bool turned = ctx.node.Int("transpose_b", 0) != 0;
  const MatMulShape s = ShapeOf({1, b.dim(turned ? 1 : 0)}, b.shape(), turned);
  ctx.state.Get<Prepared>([&] { return std::make_shared<Prepared>(MakeQMatMul(ctx, s)); });
}

// a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero
void QLinearMatMul(OpContext& ctx) {
  Require(ctx.in.size() == 8, "got ", ctx.in.size(), " inputs, needs 8");
  const Tensor &a = ctx.in[0], &b = ctx.in[3];
  const MatMulShape s = ShapeOf(a.shape(), b.shape(), false);
  const std::vector<float> a_scale = ScalesOf(ctx.in[1]), b_scale = ScalesOf(ctx.in[4]);
  Require(a_scale.size() == 1, "a scale for each row of a is not supported");
  const std::vector<int32_t> a_zero = ZeroPointsOf(ctx.in[2]), b_zero = ZeroPointsOf(ctx.in[5]);
  const auto make = [&] {
    return Prepare(
        ctx, 3, s, b_zero,
        QLinearOutput(a_scale[0], b_scale, ScalesOf(ctx.in[6]).at(0), ctx.in[7], {}, s.cols));
  };
  RunPrepared(ctx, s, a, a_zero, b, b_zero, make);
}

// a, b, [a_zero], [b_zero] to int32
void MatMulInteger(OpContext& ctx) {
  const Tensor &a = ctx.in[0], &b = ctx.in[1];
  const MatMulShape s = ShapeOf(a.shape(), b.shape(), false);
  const std::vector<int32_t> a_zero = ZeroPointsOf(ctx.Has(2) ? ctx.in[2] : Tensor());
  const std::vector<int32_t> b_zero = ZeroPointsOf(ctx.Has(3) ? ctx.in[3] : Tensor());
  Require(a_zero.size() <= 1 || s.rows % a_zero.size() == 0, "got ", a_zero.size(),
          " zero points for ", s.rows, " rows");
  const auto make = [&] { return Prepare(ctx, 1, s, b_zero, MakeQOutput({}, s.cols)); };
  RunPrepared(ctx, s, a, a_zero, b, b_zero, make);
}

}  // namespace

void AddIntegerMatMul(OpTable& table) {
  table.Add("mezzo:QMatMul", &QMatMulOp, false, &PrepareQMatMul);
  table.Add("QLinearMatMul", &QLinearMatMul);
  table.Add("MatMulInteger", &MatMulInteger);
}

}  // namespace mezzo
