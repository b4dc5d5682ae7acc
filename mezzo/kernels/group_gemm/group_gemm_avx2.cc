#include "mezzo/kernels/group_gemm/group_tile_avx2.h"

namespace mezzo {
namespace {

// vpmaddubsw gives pairs of products of at most 16256, of which two sums fit sixteen bits.
struct Avx2 {
  [[gnu::always_inline]] static void Add(__m256i& sum, const group_avx2::Unpacked& w, __m256i low,
                                         __m256i high) {
    const __m256i pairs =
        _mm256_add_epi16(_mm256_maddubs_epi16(w.low, low), _mm256_maddubs_epi16(w.high, high));
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
};

}  // namespace

const GroupLines& GroupAvx2() { return group_avx2::Lines<Avx2>::kLines; }

}  // namespace mezzo
