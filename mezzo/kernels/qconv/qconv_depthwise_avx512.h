// What depthwise convolutions in blocks of 64 channels share. Within a block the channels lie as
// unpacking bytes twice leaves them, which packing sums to codes undoes: vector k of four holds
// channels 16 l + 4 k + i at 4 l + i.
#pragma once

#include <type_traits>

#include "mezzo/kernels/qconv/qconv_depthwise.h"
#include "mezzo/kernels/qgemm/qgemm_avx512.h"

namespace mezzo {

// kBounded: QOutput::bounded; kRelu: QOutput::IsRelu.
enum class DepthwiseMode { kRelu, kBounded, kAnything };

// f(the output stage's mode, as a constant).
template <class F>
void WithDepthwiseMode(const QOutput& out, const F& f) {
  using Mode = DepthwiseMode;
  if (out.IsRelu()) return f(std::integral_constant<Mode, Mode::kRelu>());
  if (out.bounded) return f(std::integral_constant<Mode, Mode::kBounded>());
  f(std::integral_constant<Mode, Mode::kAnything>());
}

// The output stage of a block's channels, or with `twice` of two pixels with at most 32 each.
class DepthwiseStage {
 public:
  MEZZO_INLINE DepthwiseStage(const QOutput& out, const int32_t* begin, size_t channel,
                              size_t channels, bool twice)
      : out_(out),
        mask_(FirstBytesAvx512(channels)),
        twice_(twice),
        hi_(_mm512_set1_ps(static_cast<float>(out.hi - out.zero_point))) {
    Load(begin, start);
    if (out.kind != QOutput::Kind::kInt32) Load(out.scale.data() + channel, scale_);
    if (out.has_offset) Load(out.offset.data() + channel, offset_);
  }

  // y: of the pixel, or of the two.
  template <DepthwiseMode kMode>
  MEZZO_INLINE void Store(const __m512i (&sums)[4], char* y, char* second = nullptr) const {
    if (kMode == DepthwiseMode::kAnything && out_.ElementSize() == 4)
      return StoreWords(sums[0], sums[1], sums[2], sums[3], y, second);
    __m512i v[4];
    Unrolled<4>([&](auto k) MEZZO_INLINE {
      const __m512 scaled = Scaled<kMode>(k, sums[k]);
      v[k] = _mm512_cvtps_epi32(kMode == DepthwiseMode::kAnything ? _mm512_min_ps(scaled, hi_)
                                                                  : scaled);
    });
    const __m512i codes =
        kMode == DepthwiseMode::kRelu
            ? PackedUnsignedAvx512(v[0], v[1], v[2], v[3])
            : PackedAvx512(v[0], v[1], v[2], v[3], out_.zero_point, out_.lo, out_.hi);
    _mm512_mask_storeu_epi8(y, mask_, codes);
    if (second)
      _mm256_mask_storeu_epi8(second, static_cast<__mmask32>(mask_),
                              _mm512_extracti64x4_epi64(codes, 1));
  }

  __m512i start[4];

 private:
  MEZZO_INLINE __mmask16 Lanes(int k) const { return static_cast<__mmask16>(mask_ >> (16 * k)); }
  MEZZO_INLINE void Load(const void* from, __m512i (&to)[4]) const {
    Unrolled<4>([&](auto k) MEZZO_INLINE {
      const int v = twice_ ? k % 2 : k;
      to[k] = _mm512_maskz_loadu_epi32(Lanes(v), static_cast<const char*>(from) + 64 * v);
    });
    TransposeLanesAvx512(to);
  }
  template <DepthwiseMode kMode>
  MEZZO_INLINE __m512 Scaled(int k, __m512i sum) const {
    const __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_castsi512_ps(scale_[k]));
    return kMode != DepthwiseMode::kAnything || !out_.has_offset
               ? y
               : _mm512_add_ps(y, _mm512_castsi512_ps(offset_[k]));
  }
  // Not of an array: it would have to lie in memory.
  void StoreWords(__m512i a, __m512i b, __m512i c, __m512i d, char* y, char* second) const {
    __m512i words[4] = {a, b, c, d};
    if (out_.kind != QOutput::Kind::kInt32)
      for (int k = 0; k < 4; ++k)
        words[k] = _mm512_castps_si512(Scaled<DepthwiseMode::kAnything>(k, words[k]));
    TransposeLanesAvx512(words);
    for (int k = 0; k < 4; ++k) {
      const bool other = second && k >= 2;
      const int v = other ? k - 2 : k;
      _mm512_mask_storeu_epi32((other ? second : y) + 64 * v, Lanes(v), words[k]);
    }
  }

  const QOutput& out_;
  uint64_t mask_;
  bool twice_;
  __m512 hi_;
  __m512i scale_[4], offset_[4];
};

}  // namespace mezzo
