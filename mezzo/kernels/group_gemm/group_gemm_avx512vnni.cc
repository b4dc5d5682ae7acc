// vpdpbusd of 512 bits: a panel's sixteen rows are one vector. Codes as bytes without sign and
// their offset as in group_tile_avx2.h. A tile of many tokens keeps up to 24 sums in registers: 12
// tokens of two panels.
#include <cstring>

#include "mezzo/kernels/group_gemm/group_lines.h"
#include "mezzo/kernels/qgemm/qgemm_avx512.h"

namespace mezzo {
namespace {

constexpr int64_t kRows = PackedGroups::kRows;
constexpr int kFew = 8, kTokens = 12, kPanels = 2;

// sum += the products of 16 rows' bytes of four columns with four codes.
MEZZO_INLINE inline void DotFour(__m512i& sum, __m512i w, const int8_t* x) {
  asm("vpdpbusd %[x]%{1to16%}, %[w], %[sum]"
      : [sum] "+v"(sum)
      : [x] "m"(*reinterpret_cast<const int32_t(*)[1]>(x)), [w] "v"(w));
}
MEZZO_INLINE inline __m512i FourCodes(const int8_t* x) {
  int32_t four;
  std::memcpy(&four, x, sizeof(four));
  return _mm512_set1_epi32(four);
}

// What the sixteen codes of a matrix stand for, plus the offset.
struct CodeTable {
  __m512i bytes;
  int32_t offset;  // 0 if groups have their own

  explicit CodeTable(const GroupFormat& f)
      : offset(f.zero_points ? 0 : -static_cast<int32_t>(f.codes->values[0])) {
    alignas(16) uint8_t table[16];
    for (int i = 0; i < 16; ++i)
      table[i] =
          static_cast<uint8_t>(f.zero_points ? i : static_cast<int>(f.codes->values[i]) + offset);
    bytes = _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(table)));
  }
};

// Bytes of 16 rows by columns 0..3 and 4..7.
struct Unpacked {
  __m512i low, high;
};
MEZZO_INLINE inline Unpacked Unpack(const uint8_t* codes, __m512i table) {
  const __m512i nibbles = _mm512_set1_epi8(15);
  const __m512i v = _mm512_loadu_si512(codes);
  return {_mm512_shuffle_epi8(table, _mm512_and_si512(v, nibbles)),
          _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(v, 4), nibbles))};
}

// Scales and offsets of a group's sixteen rows.
struct GroupParameters {
  __m512 scale;
  __m512i offset;

  MEZZO_INLINE GroupParameters() {}
  MEZZO_INLINE GroupParameters(const PackedGroups& w, const uint8_t* group, int32_t all) {
    const __m256i bf16 =
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(group + w.scales_at()));
    scale = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bf16), 16));
    offset = w.format().zero_points ? _mm512_cvtepu8_epi32(_mm_loadu_si128(
                                          reinterpret_cast<const __m128i*>(group + w.zeros_at())))
                                    : _mm512_set1_epi32(all);
  }
  // What the sums of a token begin with.
  MEZZO_INLINE __m512i Start(int32_t x_sum) const {
    return _mm512_mullo_epi32(offset, _mm512_set1_epi32(-x_sum));
  }
  MEZZO_INLINE __m512 AddTo(__m512 y, __m512i dot, float x_scale) const {
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_mul_ps(scale, _mm512_set1_ps(x_scale)),
                           y);
  }
};

MEZZO_INLINE inline void StoreRows(__m512 v, const GroupProduct& product, int64_t token,
                                   int64_t panel) {
  const int64_t rows = product.w->rows() - panel * kRows;
  _mm512_mask_storeu_ps(product.y + token * product.y_stride + panel * kRows,
                        static_cast<__mmask16>(rows >= kRows ? 0xffff : (1 << rows) - 1), v);
}

// One panel by T tokens, unpacked on the way.
template <int T>
void FewTile(const GroupActivations& x, const GroupProduct& product, int64_t panel,
             const CodeTable& table) {
  const PackedGroups& w = *product.w;
  const int64_t group = w.group(), groups = w.groups();
  const __m512i values = table.bytes;
  const uint8_t* at = w.Codes(panel, 0);
  __m512 y[T];
  Unrolled<T>([&](auto t) MEZZO_INLINE { y[t] = _mm512_setzero_ps(); });
  for (int64_t g = 0; g < groups; ++g, at += w.group_bytes()) {
    const GroupParameters p(w, at, table.offset);
    __m512i sum[T];
    const int8_t* from[T];
    Unrolled<T>([&](auto t) MEZZO_INLINE {
      sum[t] = p.Start(*x.sum(t, g));
      from[t] = x.codes(t, g);
    });
    for (int64_t k = 0; k < group; k += 8) {
      _mm_prefetch(reinterpret_cast<const char*>(at + k * 8 + 2048), _MM_HINT_T0);
      const Unpacked u = Unpack(at + k * 8, values);
      Unrolled<T>([&](auto t) MEZZO_INLINE {
        DotFour(sum[t], u.low, from[t] + k);
        DotFour(sum[t], u.high, from[t] + k + 4);
      });
    }
    Unrolled<T>([&](auto t) MEZZO_INLINE { y[t] = p.AddTo(y[t], sum[t], *x.scale(t, g)); });
  }
  Unrolled<T>([&](auto t) MEZZO_INLINE { StoreRows(y[t], product, t, panel); });
}

// A group of one panel or two and what its tokens need, the first of them token 0.
struct GroupBlock {
  const __m512i* unpacked;  // for each 4 columns, a vector of each panel
  GroupParameters parameters[kPanels];
  int64_t group;
  const int8_t* codes;  // `group` bytes from token to token
  const float* x_scales;
  const int32_t* x_sums;
  float* y;  // (tokens, panels * 16), kept from group to group
};

// Tokens [t, t + T) of V panels.
template <int V, int T>
void OneGroup(const GroupBlock& b, int64_t t) {
  const __m512i* w = b.unpacked;
  const int64_t group = b.group;
  const int8_t* x = b.codes + t * group;
  __m512i sum[T][V];
  Unrolled<T>([&](auto i) MEZZO_INLINE {
    Unrolled<V>([&](auto v) MEZZO_INLINE { sum[i][v] = b.parameters[v].Start(b.x_sums[t + i]); });
  });
  for (const __m512i* const end = w + group / 4 * V; w != end; w += V, x += 4) {
    __m512i u[V];
    Unrolled<V>([&](auto v) MEZZO_INLINE { u[v] = w[v]; });
    Unrolled<T>([&](auto i) MEZZO_INLINE {
      const __m512i four = FourCodes(x + i * group);
      Unrolled<V>([&](auto v) MEZZO_INLINE { DotAvx512(sum[i][v], u[v], four); });
    });
  }
  Unrolled<T>([&](auto i) MEZZO_INLINE {
    Unrolled<V>([&](auto v) MEZZO_INLINE {
      float* at = b.y + ((t + i) * V + v) * kRows;
      _mm512_store_ps(at, b.parameters[v].AddTo(_mm512_load_ps(at), sum[i][v], b.x_scales[t + i]));
    });
  });
}

template <int V, int... i>
constexpr auto TilesOf(std::integer_sequence<int, i...>) {
  return std::array{OneGroup<V, i + 1>...};
}

template <int V>
void ManyPanels(const GroupActivations& x, const GroupProduct& product, int64_t panel,
                int64_t token_begin, int64_t token_end, const CodeTable& table, Tensor& scratch) {
  static constexpr auto kTiles = TilesOf<V>(std::make_integer_sequence<int, kTokens>());
  const PackedGroups& w = *product.w;
  const int64_t tokens = token_end - token_begin, group = w.group();
  const int64_t tiles = (tokens + kTokens - 1) / kTokens;
  float* const y = scratch.data<float>();
  std::memset(y, 0, static_cast<size_t>(tokens * V * kRows) * sizeof(float));
  auto* const unpacked = reinterpret_cast<__m512i*>(y + tokens * V * kRows);
  for (int64_t g = 0; g < w.groups(); ++g) {
    GroupBlock block{unpacked,
                     {},
                     group,
                     x.codes(token_begin, g),
                     x.scale(token_begin, g),
                     x.sum(token_begin, g),
                     y};
    for (int v = 0; v < V; ++v) {
      const uint8_t* codes = w.Codes(panel + v, g);
      block.parameters[v] = GroupParameters(w, codes, table.offset);
      for (int64_t i = 0; i < group / 8; ++i) {
        const Unpacked u = Unpack(codes + i * 64, table.bytes);
        unpacked[2 * i * V + v] = u.low, unpacked[(2 * i + 1) * V + v] = u.high;
      }
    }
    for (int64_t i = 0; i < tiles; ++i) {
      const int64_t first = tokens * i / tiles, last = tokens * (i + 1) / tiles;
      kTiles[last - first - 1](block, first);
    }
  }
  for (int64_t t = 0; t < tokens; ++t)
    for (int v = 0; v < V; ++v)
      StoreRows(_mm512_load_ps(y + (t * V + v) * kRows), product, token_begin + t, panel + v);
}

void RunFew(const GroupActivations& x, const GroupProduct& product, int64_t begin, int64_t end) {
  static constexpr decltype(&FewTile<1>) kTiles[kFew] = {FewTile<1>, FewTile<2>, FewTile<3>,
                                                         FewTile<4>, FewTile<5>, FewTile<6>,
                                                         FewTile<7>, FewTile<8>};
  const CodeTable table(product.w->format());
  for (int64_t p = begin; p < end; ++p) kTiles[x.tokens() - 1](x, product, p, table);
}

void RunMany(const GroupActivations& x, const GroupProduct& product, int64_t begin, int64_t end,
             int64_t token_begin, int64_t token_end) {
  const CodeTable table(product.w->format());
  const int64_t tokens = token_end - token_begin;
  // Sums of the tokens, and a group of codes as bytes.
  Tensor scratch(DType::kFloat32, {kPanels * (tokens * kRows + product.w->group() * kRows / 4)});
  int64_t p = begin;
  for (; p + kPanels <= end; p += kPanels)
    ManyPanels<kPanels>(x, product, p, token_begin, token_end, table, scratch);
  for (; p < end; ++p) ManyPanels<1>(x, product, p, token_begin, token_end, table, scratch);
}

}  // namespace

const GroupLines& GroupAvx512Vnni() {
  static constexpr GroupLines kLines{kFew, RunFew, RunMany};
  return kLines;
}

}  // namespace mezzo
