// mezzo:Attention (fuse.h): scores, Softmax and values of one head at a time, so that what lies
// between the products stays in the first-level cache.
#include "mezzo/base/aligned.h"
#include "mezzo/runtime/ops/broadcast.h"
#include "mezzo/runtime/ops/coded_softmax.h"
#include "mezzo/runtime/ops/integer.h"
#include "mezzo/runtime/ops/strided_copy.h"

namespace mezzo {
namespace {

constexpr size_t kScores = 16384;  // floats, about, that rows at a time make
constexpr size_t kTile = 6;        // rows of a product's tile

// A tensor with its dimensions in the order `perm` (empty: its own), as matrices.
struct View {
  QCodes codes;
  Shape shape;
  std::vector<int64_t> strides;

  View(const Tensor& t, const std::vector<int64_t>& perm, const char* what)
      : codes(CodesOf(t)), shape(t.shape()), strides(PlainStrides(shape)) {
    Require(t.rank() >= 2, what, " have shape ", ToString(shape), ", need matrices");
    if (perm.empty()) return;
    Require(perm.size() == t.rank(), what, " have shape ", ToString(shape), ", need rank ",
            perm.size());
    for (size_t i = 0; i < perm.size(); ++i) {
      shape[i] = t.dim(static_cast<size_t>(perm[i]));
      strides[i] = PlainStrides(t.shape())[static_cast<size_t>(perm[i])];
    }
  }

  size_t batch_rank() const { return shape.size() - 2; }
  Shape batch() const { return {shape.begin(), shape.end() - 2}; }
  int64_t rows() const { return shape[shape.size() - 2]; }
  int64_t cols() const { return shape.back(); }
  // 0 for rows, or columns, that are repeated.
  int64_t row_stride() const { return rows() == 1 ? 0 : strides[shape.size() - 2]; }
  int64_t col_stride() const { return cols() == 1 ? 0 : strides.back(); }

  // Of the matrix that the broadcast `whole` has as its index-th.
  QCodes Matrix(const Shape& whole, size_t index) const {
    int64_t at = 0;
    for (size_t d = whole.size(); d-- > 0; index /= static_cast<size_t>(whole[d])) {
      if (d + batch_rank() < whole.size()) break;
      const size_t own = d + batch_rank() - whole.size();
      if (shape[own] != 1)
        at += static_cast<int64_t>(index % static_cast<size_t>(whole[d])) * strides[own];
    }
    return {static_cast<const uint8_t*>(codes.data) + at, codes.is_signed};
  }
};

// One of the two products.
struct Product {
  int32_t a_zero;
  std::vector<int32_t> b_zeros;
  QOutput out;

  Product(const Node& attention, const std::string& prefix, int64_t cols) {
    Node own;
    for (const auto& [name, value] : attention.attributes)
      if (name.starts_with(prefix)) own.attributes[name.substr(prefix.size())] = value;
    a_zero = static_cast<int32_t>(own.Int("a_zero_point", 0));
    for (const int64_t z : own.Ints("b_zero_points")) b_zeros.push_back(static_cast<int32_t>(z));
    out = OutputOf(own, static_cast<size_t>(cols), nullptr);
  }
};

class AttentionOp {
 public:
  explicit AttentionOp(OpContext& ctx)
      : ctx_(ctx),
        q_(ctx.Plain(0), ctx.node.Ints("q_perm"), "queries"),
        k_(ctx.Plain(1), ctx.node.Ints("k_perm"), "keys"),
        v_(ctx.Plain(2), ctx.node.Ints("v_perm"), "values"),
        mask_(ctx.Has(3) ? ctx.Plain(3) : Tensor()),
        scores_(ScoreShape()),
        batch_(BroadcastShape(Shape(scores_.begin(), scores_.end() - 2), v_.batch())),
        rows_(scores_[scores_.size() - 2]),
        keys_(scores_.back()),
        first_(ctx.node, "scores_", keys_),
        second_(ctx.node, "values_", v_.cols()),
        softmax_(ctx.node, mask_, Joined(batch_, rows_, keys_)) {
    Require(v_.rows() == keys_, "got ", keys_, " scores for ", v_.rows(), " values");
  }

  Tensor Run() const {
    // y as it would be before its dimensions are put in order, and how it lies.
    Shape shape = Joined(batch_, rows_, v_.cols()), out = shape;
    const std::vector<int64_t> perm = ctx_.node.Ints("y_perm");
    Require(perm.empty() || perm.size() == shape.size(), "the result has shape ", ToString(shape),
            ", needs rank ", perm.size());
    for (size_t i = 0; i < perm.size(); ++i) out[i] = shape[static_cast<size_t>(perm[i])];
    std::vector<int64_t> strides = PlainStrides(out), own = strides;
    for (size_t i = 0; i < perm.size(); ++i) own[static_cast<size_t>(perm[i])] = strides[i];
    Tensor y(TypeOf(second_.out.kind), out);
    if (y.numel() == 0) return y;
    const auto row_stride = static_cast<size_t>(own[own.size() - 2]);
    own[own.size() - 2] = 0;  // a row in this walk is a matrix
    own.back() = 0, shape[shape.size() - 2] = 1;
    const auto heads = static_cast<size_t>(NumElements(batch_));
    // fewer heads than threads are cut by rows
    const size_t cuts = std::min(DivideUp(ctx_.threads.count(), heads), static_cast<size_t>(rows_));
    ctx_.threads.Each(heads * cuts, [&](size_t i, size_t) {
      const size_t head = i / cuts, cut = i % cuts, rows = static_cast<size_t>(rows_);
      const int64_t at = RowWalk(shape, own, head).offset();
      Head(head, rows * cut / cuts, rows * (cut + 1) / cuts,
           static_cast<char*>(y.raw()) + at * static_cast<int64_t>(second_.out.ElementSize()),
           row_stride);
    });
    return y;
  }

 private:
  static Shape Joined(Shape batch, int64_t rows, int64_t cols) {
    batch.push_back(rows), batch.push_back(cols);
    return batch;
  }

  Shape ScoreShape() const {
    Require(q_.cols() == k_.rows(), "queries ", ToString(q_.shape), " and keys ",
            ToString(k_.shape), " do not multiply");
    const Shape own = Joined(BroadcastShape(q_.batch(), k_.batch()), q_.rows(), k_.cols());
    return mask_.defined() ? BroadcastShape(own, mask_.shape()) : own;
  }

  // Rows [begin, end) of the head-th matrix y, `y_stride` elements apart.
  void Head(size_t head, size_t begin, size_t end, char* y, size_t y_stride) const {
    QCodes k = k_.Matrix(batch_, head);
    int64_t k_stride = k_.row_stride();
    thread_local std::vector<uint8_t> in_order;
    if (k_.col_stride() != 1) {  // packing reads rows
      in_order.resize(static_cast<size_t>(k_.rows() * keys_));
      CopyStrided(k.data, {k_.rows(), keys_}, {k_stride, k_.col_stride()}, in_order.data(), 1,
                  Threads());
      k.data = in_order.data(), k_stride = keys_;
    }
    Pack(k, k_.rows(), keys_, k_stride, first_, [&](const auto& keys) {
      Pack(v_.Matrix(batch_, head), keys_, v_.cols(), v_.row_stride(), second_,
           [&](const auto& values) { Rows(head, begin, end, keys, values, y, y_stride); });
    });
  }

  template <class F>
  static void Pack(QCodes b, int64_t rows, int64_t cols, int64_t stride, const Product& p,
                   const F& f) {
    WithPackedOnce(b, static_cast<size_t>(rows), static_cast<size_t>(cols),
                   static_cast<size_t>(stride), p.b_zeros, f);
  }

  template <class K, class V>
  void Rows(size_t head, size_t begin, size_t end, const K& k, const V& v, char* y,
            size_t y_stride) const {
    const auto keys = static_cast<size_t>(keys_), rows = end - begin;
    const size_t parts = DivideUp(rows * keys, kScores);
    const size_t at_once =
        std::max<size_t>(DivideUp(rows, std::max<size_t>(parts, 1) * kTile), 1) * kTile;
    thread_local std::vector<float> scores_buffer;
    thread_local std::vector<uint8_t> codes_buffer;
    float* const scores = AlignedScratch(scores_buffer, at_once * keys);
    uint8_t* const codes = AlignedScratch(codes_buffer, at_once * keys);
    const QCodes all = q_.Matrix(batch_, head);
    const auto q_stride = static_cast<size_t>(q_.row_stride());
    for (size_t row = begin; row < end; row += at_once) {
      const size_t count = std::min(at_once, end - row);
      const QCodes q{static_cast<const uint8_t*>(all.data) + row * q_stride, all.is_signed};
      char* const to = y + row * y_stride * second_.out.ElementSize();
      RunQGemm(ctx_, {q, count, q_stride, first_.a_zero, scores, keys}, k, first_.out, Threads());
      softmax_.Run(scores, head * static_cast<size_t>(rows_) + row, count, codes);
      const QCodes probabilities{codes, softmax_.is_signed()};
      RunQGemm(ctx_, {probabilities, count, keys, second_.a_zero, to, y_stride}, v, second_.out,
               Threads());
    }
  }

  OpContext& ctx_;
  const View q_, k_, v_;
  const Tensor mask_;
  const Shape scores_, batch_;
  const int64_t rows_, keys_;
  const Product first_, second_;
  const CodedSoftmax softmax_;
};

void Attention(OpContext& ctx) { ctx.out[0] = AttentionOp(ctx).Run(); }

}  // namespace

void AddIntegerAttention(OpTable& table) { table.Add("mezzo:Attention", &Attention); }

}  // namespace mezzo
