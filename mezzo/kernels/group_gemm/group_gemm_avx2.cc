#include "mezzo/kernels/group_gemm/group_tile_avx2.h"

namespace mezzo {
namespace {

alignas(32) constexpr int16_t kOnes[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

// vpmaddubsw gives pairs of products of at most 16256, of which two sums fit sixteen bits. Written
// out, since g++ 12 keeps some of a tile's sums in memory otherwise.
struct Avx2 : group_avx2::Vectors {
  [[gnu::always_inline]] static void Add(Sums& sum, const Bytes& w, Four low, Four high) {
#if defined(__x86_64__)
    __m256i a, b;
    asm("vpmaddubsw %[low], %[w_low], %[a]\n\tvpmaddubsw %[high], %[w_high], %[b]\n\t"
        "vpaddw %[b], %[a], %[a]\n\tvpmaddwd %[ones], %[a], %[a]\n\tvpaddd %[a], %[sum], %[sum]"
        : [sum] "+x"(sum), [a] "=&x"(a), [b] "=&x"(b)
        : [low] "x"(low), [high] "x"(high), [w_low] "x"(w.low), [w_high] "x"(w.high),
          [ones] "m"(kOnes));
#else
    const __m256i pairs =
        _mm256_add_epi16(_mm256_maddubs_epi16(w.low, low), _mm256_maddubs_epi16(w.high, high));
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
#endif
  }
};

}  // namespace

void GroupRunAvx2(const GroupActivations& x, const GroupProduct& product, int64_t begin,
                  int64_t end, int64_t token_begin, int64_t token_end) {
  group_avx2::Run<Avx2>(x, product, begin, end, token_begin, token_end);
}

}  // namespace mezzo
