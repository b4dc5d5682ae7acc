// AVX2: vpmaddubsw, exact within the bounds that packing keeps (quads_pairs.h). A tile of 4 rows x
// 16 columns keeps 8 sums in registers; two quads share a 16-bit sum where they can.
#include "mezzo/kernels/qgemm/quads_tile_avx2.h"

namespace mezzo {
namespace {

alignas(32) constexpr int16_t kOnes[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

// Written out, since compilers that may reorder these products spill sums.
MEZZO_INLINE inline __m256i Products(__m256i x, __m256i w) {
#if defined(__x86_64__)
  __m256i words;
  asm("vpmaddubsw %[w], %[x], %[words]" : [words] "=x"(words) : [x] "x"(x), [w] "x"(w));
  return words;
#else
  return _mm256_maddubs_epi16(x, w);
#endif
}

// The ones are read from memory: all registers are taken.
MEZZO_INLINE inline void AddWidened(__m256i& acc, __m256i words) {
#if defined(__x86_64__)
  asm("vpmaddwd %[ones], %[words], %[words]\n\tvpaddd %[words], %[acc], %[acc]"
      : [acc] "+x"(acc), [words] "+x"(words)
      : [ones] "m"(kOnes));
#else
  acc = _mm256_add_epi32(acc, _mm256_madd_epi16(words, _mm256_set1_epi16(1)));
#endif
}

// Adds the products of G quads that share their sums, `steps` times.
template <int R, int V, int G>
MEZZO_INLINE inline void Add(const uint8_t* const (&row)[R], const int32_t* offsets,
                             const int8_t* w, size_t steps, SumsAvx2<R, V>& acc) {
  for (; steps > 0; --steps, offsets += G, w += 64 * G) {
    SumsAvx2<G, V> wv;
    Unrolled<G>([&](auto g) MEZZO_INLINE {
      Unrolled<V>([&](auto v) MEZZO_INLINE {
        wv.at[g][v] = _mm256_load_si256(reinterpret_cast<const __m256i*>(w) + 2 * g + v);
      });
    });
    Unrolled<R>([&](auto r) MEZZO_INLINE {
      __m256i words[V];
      Unrolled<G>([&](auto g) MEZZO_INLINE {
        const __m256i x = BroadcastAvx2(row[r] + offsets[g]);
        Unrolled<V>([&](auto v) MEZZO_INLINE {
          const __m256i products = Products(x, wv.at[g][v]);
          words[v] = g == 0 ? products : _mm256_add_epi16(words[v], products);
        });
      });
      Unrolled<V>([&](auto v) MEZZO_INLINE { AddWidened(acc.at[r][v], words[v]); });
    });
  }
}

struct Lines {
  static constexpr int kRows = 4;

  template <int R, int V>
  MEZZO_INLINE static SumsAvx2<R, V> SumsOf(const QuadStrip& s, size_t first) {
    const uint8_t* row[R];
    SumsAvx2<R, V> acc;
    Unrolled<R>([&](auto r) MEZZO_INLINE {
      row[r] = s.rows[first + r];
      Unrolled<V>([&](auto v) MEZZO_INLINE {
        acc.at[r][v] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(s.start) + v);
      });
    });
    Add<R, V, 2>(row, s.offsets, s.w, s.pairs, acc);
    Add<R, V, 1>(row, s.offsets + 2 * s.pairs, s.w + 128 * s.pairs, s.singles, acc);
    SumsAvx2<R, V> sums;
    Unrolled<R>([&](auto r) MEZZO_INLINE {
      Unrolled<V>([&](auto v) MEZZO_INLINE {
        __m256i sum = acc.at[r][v];
#if defined(__x86_64__)
        asm("" : "+x"(sum));  // so that nothing that sums are used for keeps acc in memory
#endif
        sums.at[r][v] = sum;
      });
    });
    return sums;
  }
};

}  // namespace

const QuadLines kQuadLinesAvx2{Isa::kAvx2, Lines::kRows, 1, true, RunStripAvx2<Lines>};

}  // namespace mezzo
