// Products of codes in vectors of 256 bits: a code's value plus an offset is a byte without sign,
// up to 64. The offset's share, offset * (sum of the activations), is what the sums begin with,
// negated. Written once over
//
//   Four, FourCodes(x)       four codes of activations, repeated
//   Bytes, Unpack(codes, table)
//                            those of 8 rows by 8 columns
//   Sums, Begin(v), End(s)   eight sums, from and to a vector
//   Add(sums, w, low, high)  adds the products of 8 columns
//
// in a struct in an unnamed namespace, as the linker would merge what files compile differently.
#pragma once

#include <cstring>

#include "mezzo/base/simd.h"
#include "mezzo/kernels/group_gemm/group_lines.h"

namespace mezzo {
namespace group_avx2 {

constexpr int64_t kRows = PackedGroups::kRows;  // two vectors of eight

struct CodeTable {
  __m256i bytes;  // CodeBytes, twice
  int32_t offset;

  explicit CodeTable(const CodeBytes& c)
      : bytes(
            _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(c.bytes)))),
        offset(c.offset) {}
};

// All but Add, in vectors of 256 bits.
struct Vectors {
  using Four = __m256i;
  using Sums = __m256i;
  // By columns 0..3 and 4..7.
  struct Bytes {
    __m256i low, high;
  };

  [[gnu::always_inline]] static Four FourCodes(const int8_t* x) {
    int32_t four;
    std::memcpy(&four, x, sizeof(four));
    return _mm256_set1_epi32(four);
  }
  [[gnu::always_inline]] static Bytes Unpack(const uint8_t* codes, __m256i table) {
    const __m256i nibbles = _mm256_set1_epi8(15);
    const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes));
    return {_mm256_shuffle_epi8(table, _mm256_and_si256(v, nibbles)),
            _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(v, 4), nibbles))};
  }
  [[gnu::always_inline]] static Sums Begin(__m256i v) { return v; }
  [[gnu::always_inline]] static __m256i End(Sums s) { return s; }
};

// sum[t] += the products of 8 columns from the k-th on with the codes of T tokens.
template <class D, int T>
[[gnu::always_inline]] inline void AddColumns(typename D::Sums (&sum)[T][2],
                                              const typename D::Bytes (&u)[2],
                                              const int8_t* const (&x)[T], int64_t k) {
#pragma GCC unroll 4
  for (int t = 0; t < T; ++t) {
    const typename D::Four low = D::FourCodes(x[t] + k), high = D::FourCodes(x[t] + k + 4);
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) D::Add(sum[t][h], u[h], low, high);
  }
}

// The scales and offsets of a group, eight rows in each half. Without zero points all offsets are
// the table's.
struct GroupParameters {
  __m256 scale[2];
  __m256i zero[2];
  int32_t offset;
  bool zeros;

  // What the sums of a token begin with.
  template <class D>
  [[gnu::always_inline]] void Start(int32_t x_sum, typename D::Sums (&sum)[2]) const {
    sum[0] = sum[1] = D::Begin(_mm256_set1_epi32(-offset * x_sum));
    if (!zeros) return;
    for (int h = 0; h < 2; ++h)
      sum[h] = D::Begin(_mm256_mullo_epi32(zero[h], _mm256_set1_epi32(-x_sum)));
  }
};
[[gnu::always_inline]] inline GroupParameters Parameters(const PackedGroups& w,
                                                         const uint8_t* group, int32_t offset) {
  GroupParameters p;
  p.offset = offset;
  p.zeros = w.format().zero_points;
#pragma GCC unroll 2
  for (int h = 0; h < 2; ++h) {
    const __m128i bf16 =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(group + w.scales_at() + h * 16));
    p.scale[h] = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bf16), 16));
    p.zero[h] = p.zeros ? _mm256_cvtepu8_epi32(_mm_loadl_epi64(
                              reinterpret_cast<const __m128i*>(group + w.zeros_at() + h * 8)))
                        : _mm256_setzero_si256();
  }
  return p;
}

[[gnu::always_inline]] inline __m256 AddGroup(__m256i dot, __m256 w_scale, float x_scale,
                                              __m256 y) {
  return _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_mul_ps(w_scale, _mm256_set1_ps(x_scale)),
                         y);
}

// The rows of a panel that exist.
inline void StoreRows(const __m256 (&v)[2], float* y, int64_t rows) {
  alignas(32) float values[kRows];
  float* const to = rows >= kRows ? y : values;
  _mm256_storeu_ps(to, v[0]);
  _mm256_storeu_ps(to + 8, v[1]);
  if (rows < kRows) std::memcpy(y, values, static_cast<size_t>(rows) * sizeof(float));
}

// One panel by tokens [first, first + T), unpacked on the way.
template <class D, int T>
void FewTile(const GroupActivations& x, const GroupProduct& product, int64_t panel, int64_t first,
             const CodeTable& table) {
  const PackedGroups& w = *product.w;
  const int64_t group = w.group(), groups = w.groups();
  const __m256i values = table.bytes;
  const uint8_t* at = w.Codes(panel, 0);
  __m256 y[T][2];
#pragma GCC unroll 4
  for (int t = 0; t < T; ++t) y[t][0] = y[t][1] = _mm256_setzero_ps();
  for (int64_t g = 0; g < groups; ++g, at += w.group_bytes()) {
    const GroupParameters p = Parameters(w, at, table.offset);
    typename D::Sums sum[T][2];
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) p.Start<D>(*x.sum(first + t, g), sum[t]);
    const int8_t* from[T];
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) from[t] = x.codes(first + t, g);
    for (int64_t k = 0; k < group; k += 8) {
      _mm_prefetch(reinterpret_cast<const char*>(at + k * 8 + kFetchAhead), _MM_HINT_T0);
      const typename D::Bytes u[2] = {D::Unpack(at + k * 8, values),
                                      D::Unpack(at + k * 8 + 32, values)};
      AddColumns<D, T>(sum, u, from, k);
    }
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
      for (int h = 0; h < 2; ++h)
        y[t][h] = AddGroup(D::End(sum[t][h]), p.scale[h], *x.scale(first + t, g), y[t][h]);
  }
  for (int t = 0; t < T; ++t)
    StoreRows(y[t], product.y + (first + t) * product.y_stride + panel * kRows,
              w.rows() - panel * kRows);
}

// A group of a panel and what its tokens need, the first of them token 0.
struct GroupBlock {
  const void* unpacked;  // for each 8 columns, Bytes of both halves
  GroupParameters parameters;
  int64_t group;
  const int8_t* codes;  // `group` bytes from token to token
  const float* x_scales;
  const int32_t* x_sums;
  float* y;  // (tokens, 16), kept from group to group
};

// Tokens [t, t + T).
template <class D, int T>
void OneGroup(const GroupBlock& b, int64_t t) {
  const auto* w = static_cast<const typename D::Bytes*>(b.unpacked);
  const int64_t group = b.group;
  const int8_t* x[T];
  typename D::Sums sum[T][2];
#pragma GCC unroll 4
  for (int i = 0; i < T; ++i) {
    x[i] = b.codes + (t + i) * group;
    b.parameters.Start<D>(b.x_sums[t + i], sum[i]);
  }
  for (int64_t k = 0; k < group; k += 8, w += 2) {
    const typename D::Bytes u[2] = {w[0], w[1]};
    AddColumns<D, T>(sum, u, x, k);
  }
#pragma GCC unroll 4
  for (int i = 0; i < T; ++i)
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      float* at = b.y + (t + i) * kRows + h * 8;
      _mm256_store_ps(at, AddGroup(D::End(sum[i][h]), b.parameters.scale[h], b.x_scales[t + i],
                                   _mm256_load_ps(at)));
    }
}

template <class D>
void ManyPanel(const GroupActivations& x, const GroupProduct& product, int64_t panel,
               int64_t token_begin, int64_t token_end, const CodeTable& table, Tensor& scratch) {
  const PackedGroups& w = *product.w;
  const int64_t tokens = token_end - token_begin, group = w.group();
  float* const y = scratch.data<float>();
  std::memset(y, 0, static_cast<size_t>(tokens * kRows) * sizeof(float));
  auto* const unpacked = reinterpret_cast<typename D::Bytes*>(y + tokens * kRows);
  for (int64_t g = 0; g < w.groups(); ++g) {
    const uint8_t* codes = w.Codes(panel, g);
    for (int64_t i = 0; i < group / 4; ++i) unpacked[i] = D::Unpack(codes + i * 32, table.bytes);
    const GroupBlock block{unpacked,
                           Parameters(w, codes, table.offset),
                           group,
                           x.codes(token_begin, g),
                           x.scale(token_begin, g),
                           x.sum(token_begin, g),
                           y};
    int64_t t = 0;
    for (; t + 4 <= tokens; t += 4) OneGroup<D, 4>(block, t);
    for (; t < tokens; ++t) OneGroup<D, 1>(block, t);
  }
  for (int64_t t = 0; t < tokens; ++t)
    StoreRows({_mm256_load_ps(y + t * kRows), _mm256_load_ps(y + t * kRows + 8)},
              product.y + (token_begin + t) * product.y_stride + panel * kRows,
              w.rows() - panel * kRows);
}

template <class D>
void Run(const GroupActivations& x, const GroupProduct& product, int64_t begin, int64_t end,
         int64_t token_begin, int64_t token_end) {
  constexpr decltype(&FewTile<D, 1>) kFew[] = {FewTile<D, 1>, FewTile<D, 2>, FewTile<D, 3>};
  const CodeTable table(CodeBytes(product.w->format()));
  const int64_t tokens = token_end - token_begin;
  if (tokens <= static_cast<int64_t>(std::size(kFew))) {
    for (int64_t p = begin; p < end; ++p) kFew[tokens - 1](x, product, p, token_begin, table);
    return;
  }
  // Sums of the tokens, and a group of codes as bytes.
  Tensor scratch(DType::kFloat32, {tokens * kRows + product.w->group() * kRows / 4});
  for (int64_t p = begin; p < end; ++p)
    ManyPanel<D>(x, product, p, token_begin, token_end, table, scratch);
}

}  // namespace group_avx2
}  // namespace mezzo
