#include "mezzo/runtime/ops/strided_copy.h"

#include <cstring>

#include "mezzo/base/simd.h"

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
  const size_t bytes = static_cast<size_t>(n) * sizeof(U);
  if (stride == 1 && bytes % 16 == 0 && bytes <= 128)  // not worth a call
    for (size_t i = 0; i < bytes; i += 16)
      std::memcpy(reinterpret_cast<char*>(y) + i, reinterpret_cast<const char*>(x) + i, 16);
  else if (stride == 1)
    std::memcpy(y, x, bytes);
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
  Shape sizes;
  std::vector<int64_t> strides;
  for (const Dim& d : dims) sizes.push_back(d.size), strides.push_back(d.stride);
  const size_t grain = std::max<int64_t>(1, kGrain / inner.size);
  threads.For(rows, grain, [&](size_t begin, size_t end) {
    RowWalk row(sizes, strides, begin);
    for (size_t r = begin; r < end; ++r, row.Next())
      CopyRow(x + row.offset(), inner.stride, y + r * inner.size, inner.size);
  });
}

// y[i * y_stride + j] = x[i + j * x_stride] for i, j < 16.
void TransposeTile(const uint8_t* x, int64_t x_stride, uint8_t* y, int64_t y_stride) {
  __m128i v[16], next[16];
  for (int j = 0; j < 16; ++j)
    v[j] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + j * x_stride));
  for (int stage = 0; stage < 4; ++stage) {  // each puts what was 8 vectors apart side by side
    for (int i = 0; i < 8; ++i) {
      next[2 * i] = _mm_unpacklo_epi8(v[i], v[i + 8]);
      next[2 * i + 1] = _mm_unpackhi_epi8(v[i], v[i + 8]);
    }
    std::copy_n(next, 16, v);
  }
  for (int i = 0; i < 16; ++i) _mm_storeu_si128(reinterpret_cast<__m128i*>(y + i * y_stride), v[i]);
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
      for (int64_t j0 = 0; j0 < b.size; j0 += kTile) {
        if constexpr (sizeof(U) == 1)
          if (i1 - i0 == kTile && b.size - j0 >= kTile) {
            TransposeTile(reinterpret_cast<const uint8_t*>(src + i0 + j0 * b.stride), b.stride,
                          reinterpret_cast<uint8_t*>(dst + i0 * b.size + j0), b.size);
            continue;
          }
        for (int64_t i = i0; i < i1; ++i)
          for (int64_t j = j0; j < std::min(b.size, j0 + kTile); ++j)
            dst[i * b.size + j] = src[i + j * b.stride];
      }
    }
  });
}

}  // namespace

RowWalk::RowWalk(const Shape& dims, const std::vector<int64_t>& strides, size_t first_row)
    : dims_(dims.begin(), dims.end() - 1),
      strides_(strides.begin(), strides.end() - 1),
      at_(dims_.size()) {
  auto row = static_cast<int64_t>(first_row);
  for (size_t d = at_.size(); d-- > 0; row /= dims_[d]) {
    at_[d] = row % dims_[d];
    offset_ += at_[d] * strides_[d];
  }
}

void CopyStrided(const void* x, const Shape& shape, const std::vector<int64_t>& strides, void* y,
                 size_t item, const Threads& threads) {
  if (NumElements(shape) == 0) return;
  const std::vector<Dim> dims = Merge(shape, strides);
  const bool transposed =
      dims.size() >= 2 && dims[dims.size() - 2].stride == 1 && dims.back().stride != 0;
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
