// Einsum over any number of operands, with ellipsis and repeated labels.
//
// Operands are contracted from the left, two at a time. Each label is one of: batch (in both,
// kept), row (left only), column (right only), summed (in both, needed no more). A pair is brought
// to (batch, row, sum) x (batch, sum, column) by views and becomes a batch of matrix products.
#include <cctype>
#include <map>
#include <set>

#include "mezzo/runtime/ops/families.h"
#include "mezzo/runtime/ops/strided_copy.h"

namespace mezzo {
namespace {

// Labels are letters; the dimensions of an ellipsis get the codes 0, 1, ... counted from the last.
using Labels = std::vector<int>;

struct Operand {
  Tensor tensor;
  Labels labels;
};

struct Equation {
  std::vector<Labels> inputs;
  Labels output;
};

Labels ParseTerm(const std::string& term, int ellipsis_rank) {
  Labels labels;
  for (size_t i = 0; i < term.size(); ++i) {
    if (term.compare(i, 3, "...") == 0) {
      for (int d = ellipsis_rank; d-- > 0;) labels.push_back(d);
      i += 2;
    } else {
      Require(std::isalpha(static_cast<unsigned char>(term[i])), "cannot read \"", term[i],
              "\" in the equation");
      labels.push_back(term[i]);
    }
  }
  return labels;
}

Equation Parse(std::string text, std::span<const Tensor> operands) {
  std::erase(text, ' ');
  const size_t arrow = text.find("->");
  std::string left = text.substr(0, arrow);
  std::vector<std::string> terms(1);
  for (const char c : left) c == ',' ? void(terms.emplace_back()) : terms.back().push_back(c);
  Require(terms.size() == operands.size(), "the equation has ", terms.size(), " terms for ",
          operands.size(), " inputs");
  Equation e;
  int widest = 0;
  for (size_t i = 0; i < terms.size(); ++i) {
    const bool has_ellipsis = terms[i].find("...") != std::string::npos;
    const auto letters = static_cast<int>(terms[i].size()) - (has_ellipsis ? 3 : 0);
    const int extra = static_cast<int>(operands[i].rank()) - letters;
    Require(has_ellipsis ? extra >= 0 : extra == 0, "term \"", terms[i], "\" does not fit shape ",
            ToString(operands[i].shape()));
    e.inputs.push_back(ParseTerm(terms[i], extra));
    widest = std::max(widest, extra);
  }
  if (arrow != std::string::npos) {
    e.output = ParseTerm(text.substr(arrow + 2), widest);
    return e;
  }
  // implicit: the ellipsis, then every label that occurs once, in alphabetic order
  std::map<int, int> count;
  for (const Labels& labels : e.inputs)
    for (const int l : labels) ++count[l];
  for (int d = widest; d-- > 0;) e.output.push_back(d);
  for (const auto& [label, n] : count)
    if (label >= 'A' && n == 1) e.output.push_back(label);
  return e;
}

using Sizes = std::map<int, int64_t>;

// The tensor with dimensions in the order of `labels`. A label that the operand lacks has size 1,
// one that it has twice runs along the diagonal.
Tensor Arrange(const Operand& o, const Labels& labels, const Threads& threads) {
  const std::vector<int64_t> own = PlainStrides(o.tensor.shape());
  Shape shape;
  std::vector<int64_t> strides;
  for (const int l : labels) {
    int64_t size = 1, stride = 0;
    for (size_t d = 0; d < o.labels.size(); ++d) {
      if (o.labels[d] != l || o.tensor.dim(d) == 1) continue;
      Require(size == 1 || size == o.tensor.dim(d), "a repeated label has sizes ", size, " and ",
              o.tensor.dim(d));
      size = o.tensor.dim(d);
      stride += own[d];
    }
    shape.push_back(size);
    strides.push_back(stride);
  }
  Tensor out(o.tensor.dtype(), shape);
  CopyStrided(o.tensor.raw(), shape, strides, out.raw(), SizeOf(out.dtype()), threads);
  return out;
}

// Sums away all labels that are not in `keep`.
Operand SumOthers(const Operand& o, const std::set<int>& keep, const Threads& threads) {
  Labels kept, order;
  std::set<int> seen;
  for (const int l : o.labels)
    if (seen.insert(l).second && keep.contains(l)) kept.push_back(l);
  order = kept;
  for (const int l : seen)
    if (!keep.contains(l)) order.push_back(l);
  if (order == o.labels && kept.size() == order.size()) return o;
  const Tensor x = Arrange(o, order, threads);
  Tensor y(x.dtype(), Shape(x.shape().begin(), x.shape().begin() + kept.size()));
  const int64_t n = y.numel() ? x.numel() / y.numel() : 0;
  WithType(x.dtype(), [&]<class T>() {
    for (int64_t r = 0; r < y.numel(); ++r) {
      T sum{};
      for (int64_t i = 0; i < n; ++i) sum = static_cast<T>(sum + x.data<T>()[r * n + i]);
      y.data<T>()[r] = sum;
    }
  });
  return {y, kept};
}

// c(m, n) = a(m, k) b(k, n)
template <class T>
void MatrixProduct(const T* a, const T* b, T* c, int64_t m, int64_t k, int64_t n) {
  std::fill_n(c, m * n, T{});
  for (int64_t i = 0; i < m; ++i)
    for (int64_t p = 0; p < k; ++p)
      for (int64_t j = 0; j < n; ++j)
        c[i * n + j] = static_cast<T>(c[i * n + j] + a[i * k + p] * b[p * n + j]);
}

// The batch dimensions of one side, which may be 1 where the other's are not, spread out.
Tensor Spread(const Operand& o, const Labels& labels, const Sizes& sizes, size_t batch,
              const Threads& threads) {
  const Tensor t = Arrange(o, labels, threads);
  Shape shape = t.shape();
  std::vector<int64_t> strides = PlainStrides(shape);
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == sizes.at(labels[d])) continue;
    Require(d < batch || shape[d] == 1, "sizes disagree");
    shape[d] = sizes.at(labels[d]);
    strides[d] = 0;
  }
  if (shape == t.shape()) return t;
  Tensor out(t.dtype(), shape);
  CopyStrided(t.raw(), shape, strides, out.raw(), SizeOf(t.dtype()), threads);
  return out;
}

Operand Contract(const Operand& a, const Operand& b, const std::set<int>& needed,
                 const Sizes& sizes, const Threads& threads) {
  const std::set<int> in_a(a.labels.begin(), a.labels.end()),
      in_b(b.labels.begin(), b.labels.end());
  Labels batch, row, column, summed;
  for (const int l : in_a)
    (!in_b.contains(l) ? row : needed.contains(l) ? batch : summed).push_back(l);
  for (const int l : in_b)
    if (!in_a.contains(l)) column.push_back(l);
  const auto join = [](Labels x, const Labels& y, const Labels& z) {
    x.insert(x.end(), y.begin(), y.end());
    x.insert(x.end(), z.begin(), z.end());
    return x;
  };
  const auto product = [&](const Labels& labels) {
    int64_t n = 1;
    for (const int l : labels) n *= sizes.at(l);
    return n;
  };
  const Tensor left = Spread(a, join(batch, row, summed), sizes, batch.size(), threads);
  const Tensor right = Spread(b, join(batch, summed, column), sizes, batch.size(), threads);
  const Labels labels = join(batch, row, column);
  Shape shape;
  for (const int l : labels) shape.push_back(sizes.at(l));
  Tensor out(left.dtype(), shape);
  const int64_t m = product(row), k = product(summed), n = product(column);
  WithType(out.dtype(), [&]<class T>() {
    const size_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, m * k * n));
    threads.For(product(batch), grain, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i)
        MatrixProduct(left.data<T>() + i * m * k, right.data<T>() + i * k * n,
                      out.data<T>() + i * m * n, m, k, n);
    });
  });
  return {out, labels};
}

void Einsum(OpContext& ctx) {
  for (size_t i = 0; i < ctx.in.size(); ++i) ctx.Plain(i);
  const Equation e = Parse(ctx.node.String("equation", ""), ctx.in);
  Sizes sizes;
  for (size_t i = 0; i < ctx.in.size(); ++i) {
    Require(ctx.in[i].dtype() == ctx.in[0].dtype(), "inputs differ in type");
    for (size_t d = 0; d < e.inputs[i].size(); ++d) {
      int64_t& size = sizes.try_emplace(e.inputs[i][d], 1).first->second;
      const int64_t dim = ctx.in[i].dim(d);
      Require(size == 1 || dim == 1 || size == dim, "a label has sizes ", size, " and ", dim);
      if (dim != 1) size = dim;
    }
  }
  for (const int l : e.output) Require(sizes.contains(l), "an output label is in no term");
  // what later operands and the output need, from each operand on
  std::vector<std::set<int>> needed(ctx.in.size() + 1);
  needed.back() = {e.output.begin(), e.output.end()};
  for (size_t i = ctx.in.size(); i-- > 0;) {
    needed[i] = needed[i + 1];
    needed[i].insert(e.inputs[i].begin(), e.inputs[i].end());
  }
  Operand result = SumOthers({ctx.in[0], e.inputs[0]}, needed[1], ctx.threads);
  for (size_t i = 1; i < ctx.in.size(); ++i) {
    std::set<int> keep = needed[i + 1];
    keep.insert(result.labels.begin(), result.labels.end());
    const Operand next = SumOthers({ctx.in[i], e.inputs[i]}, keep, ctx.threads);
    result = Contract(result, next, needed[i + 1], sizes, ctx.threads);
  }
  result = SumOthers(result, needed.back(), ctx.threads);
  ctx.out[0] = Arrange(result, e.output, ctx.threads);
}

}  // namespace

void AddEinsum(OpTable& table) { table.Add("Einsum", &ViaFloat<&Einsum>); }

}  // namespace mezzo
