#include "mezzo/runtime/ops/strided_copy.h"

#include <cstring>

namespace mezzo {
namespace {

struct Dim {
  int64_t size, stride;
};

std::vector<Dim> Merge(const Shape& dims, const std::vector<int64_t>& strides) {
  std::vector<Dim> out;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 1) continue;
    if (!out.empty() && out.back().stride == strides[i] * dims[i])
      out.back() = {out.back().size * dims[i], strides[i]};
    else
      out.push_back({dims[i], strides[i]});
  }
  if (out.empty()) out.push_back({1, 1});
  return out;
}

// The offset in x of row `index` of the given dimensions.
int64_t Offset(std::span<const Dim> dims, int64_t index) {
  int64_t offset = 0;
  for (size_t d = dims.size(); d-- > 0; index /= dims[d].size)
    offset += index % dims[d].size * dims[d].stride;
  return offset;
}

template <class U>
void CopyRow(const U* x, int64_t stride, U* y, int64_t n) {
  if (stride == 1)
    std::memcpy(y, x, static_cast<size_t>(n) * sizeof(U));
  else if (stride == 0)
    std::fill_n(y, n, *x);
  else
    for (int64_t i = 0; i < n; ++i) y[i] = x[i * stride];
}

template <class U>
void CopyRows(const U* x, std::span<const Dim> dims, U* y, const Threads& threads) {
  const Dim inner = dims.back();
  int64_t rows = 1;
  for (const Dim& d : dims.first(dims.size() - 1)) rows *= d.size;
  const size_t grain = std::max<int64_t>(1, kGrain / inner.size);
  threads.For(rows, grain, [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r)
      CopyRow(x + Offset(dims.first(dims.size() - 1), r), inner.stride, y + r * inner.size,
              inner.size);
  });
}

// The last two dimensions (a, b) have strides (1, s): a transposition. Tiles keep both sides in the
// cache.
template <class U>
void CopyTransposed(const U* x, std::span<const Dim> dims, U* y, const Threads& threads) {
  constexpr int64_t kTile = 16;
  const Dim a = dims[dims.size() - 2], b = dims.back();
  const auto lead = dims.first(dims.size() - 2);
  int64_t outer = 1;
  for (const Dim& d : lead) outer *= d.size;
  const int64_t bands = (a.size + kTile - 1) / kTile;
  const size_t grain = std::max<int64_t>(1, kGrain / (kTile * b.size));
  threads.For(outer * bands, grain, [&](size_t begin, size_t end) {
    for (size_t t = begin; t < end; ++t) {
      const int64_t o = t / bands, i0 = t % bands * kTile, i1 = std::min(a.size, i0 + kTile);
      const U* src = x + Offset(lead, o);
      U* dst = y + o * a.size * b.size;
      for (int64_t j0 = 0; j0 < b.size; j0 += kTile)
        for (int64_t i = i0; i < i1; ++i)
          for (int64_t j = j0; j < std::min(b.size, j0 + kTile); ++j)
            dst[i * b.size + j] = src[i + j * b.stride];
    }
  });
}

}  // namespace

void CopyStrided(const void* x, const Shape& shape, const std::vector<int64_t>& strides, void* y,
                 size_t item, const Threads& threads) {
  if (NumElements(shape) == 0) return;
  const std::vector<Dim> dims = Merge(shape, strides);
  const bool transposed = dims.size() >= 2 && dims[dims.size() - 2].stride == 1;
  WithSize(item, [&]<class U>() {
    const auto* from = static_cast<const U*>(x);
    auto* to = static_cast<U*>(y);
    transposed ? CopyTransposed(from, dims, to, threads) : CopyRows(from, dims, to, threads);
  });
}

Tensor TransposeTensor(const Tensor& t, const std::vector<int64_t>& perm, const Threads& threads) {
  Require(perm.size() == t.rank(), "the permutation has ", perm.size(), " axes, the tensor ",
          t.rank());
  const std::vector<int64_t> strides = PlainStrides(t.shape());
  std::vector<char> seen(perm.size(), 0);
  Shape shape;
  std::vector<int64_t> moved;
  bool same = true;
  for (size_t i = 0; i < perm.size(); ++i) {
    const size_t p = NormalAxis(perm[i], t.rank());
    Require(!std::exchange(seen[p], 1), "the permutation names axis ", p, " twice");
    shape.push_back(t.dim(p));
    moved.push_back(strides[p]);
    same &= p == i;
  }
  if (same) return t;
  Tensor out(t.dtype(), shape);
  CopyStrided(t.raw(), shape, moved, out.raw(), SizeOf(t.dtype()), threads);
  return out;
}

}  // namespace mezzo
