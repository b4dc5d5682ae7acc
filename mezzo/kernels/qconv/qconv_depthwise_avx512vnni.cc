// Quads of neighbouring pixels' codes for vpdpbusd, 64 channels at once. Within a block the
// channels lie as unpacking bytes twice leaves them, which packing sums to codes undoes: vector k
// of four holds channels 16 l + 4 k + i at 4 l + i. Compiled for AVX-512 (CMakeLists.txt).
#include "mezzo/kernels/qconv/qconv_depthwise.h"
#include "mezzo/kernels/qgemm/qgemm_avx512.h"

namespace mezzo {
namespace {

constexpr size_t kChannels = 64;

size_t Place(size_t c) { return c % 16 / 4 * 16 + c / 16 * 4 + c % 4; }

MEZZO_INLINE inline uint64_t Mask(size_t channels) { return ~uint64_t{0} >> (64 - channels); }

// Of four pixels, given as pairs.
MEZZO_INLINE inline void StoreQuads(BytePairs ab, BytePairs cd, uint8_t* to) {
  __m512i quads[4];
  QuadsAvx512(ab, cd, quads);
  Unrolled<4>([&](auto k) MEZZO_INLINE { _mm512_store_si512(to + 64 * k, quads[k]); });
}

void MakeRow(const QUnitsOfRow& r) {
  const __mmask64 mask = Mask(r.channels);
  const __m512i flip = _mm512_set1_epi8(r.is_signed ? static_cast<char>(0x80) : 0);
  const __m512i zero = _mm512_set1_epi8(static_cast<char>(r.zero));
  const size_t pixels = r.x ? r.pixels : 0;
  const auto codes = [&](size_t pixel) MEZZO_INLINE {
    if (pixel >= pixels) return zero;
    _mm_prefetch(r.x + (pixel + 6) * r.pixel, _MM_HINT_T0);  // the stride hides it from processors
    if (r.from_afar) _mm_prefetch(r.x + (pixel + r.pixels) * r.pixel, _MM_HINT_T1);  // next row
    return _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, r.x + pixel * r.pixel), flip);
  };
  uint8_t* to = r.to;
  size_t at = r.first;
  if (r.distance == 1 && r.step == 1) {  // a pair serves two quads
    __m512i last = codes(at + 2);
    BytePairs a = PairsAvx512(codes(at), codes(at + 1)), b = PairsAvx512(codes(at + 1), last);
    for (size_t i = 0; i < r.count; ++i, ++at, to += 4 * kChannels) {
      const __m512i next = codes(at + 3);
      const BytePairs c = PairsAvx512(last, next);
      StoreQuads(a, c, to);
      a = b, b = c, last = next;
    }
  } else if (r.distance == 1 && r.step == 2) {
    BytePairs a = PairsAvx512(codes(at), codes(at + 1));
    for (size_t i = 0; i < r.count; ++i, at += 2, to += 4 * kChannels) {
      const BytePairs b = PairsAvx512(codes(at + 2), codes(at + 3));
      StoreQuads(a, b, to);
      a = b;
    }
  } else {
    const size_t d = r.distance;
    for (size_t i = 0; i < r.count; ++i, at += r.step, to += 4 * kChannels)
      StoreQuads(PairsAvx512(codes(at), codes(at + d)),
                 PairsAvx512(codes(at + 2 * d), codes(at + 3 * d)), to);
  }
}

// kBounded: QOutput::bounded; kRelu: QOutput::IsRelu.
enum class Mode { kRelu, kBounded, kAnything };

// A row's output stage.
class Stage {
 public:
  explicit Stage(const QDepthwiseRow& r)
      : r_(r),
        out_(*r.out),
        mask_(Mask(r.channels)),
        hi_(_mm512_set1_ps(static_cast<float>(out_.hi - out_.zero_point))) {
    Load(r.start, start);
    if (out_.kind != QOutput::Kind::kInt32) Load(out_.scale.data() + r.channel, scale_);
    if (out_.has_offset) Load(out_.offset.data() + r.channel, offset_);
  }

  template <Mode kMode>
  MEZZO_INLINE void Store(const __m512i (&sums)[4], size_t pixel) const {
    char* y = r_.y + pixel * r_.y_step;
    if (kMode == Mode::kAnything && out_.ElementSize() == 4) return StoreWords(sums, y);
    __m512i codes[4];
    Unrolled<4>([&](auto k) MEZZO_INLINE {
      const __m512 v = Scaled<kMode>(k, sums[k]);
      codes[k] = _mm512_cvtps_epi32(kMode == Mode::kAnything ? _mm512_min_ps(v, hi_) : v);
    });
    _mm512_mask_storeu_epi8(y, mask_,
                            kMode == Mode::kRelu
                                ? PackedUnsignedAvx512(codes[0], codes[1], codes[2], codes[3])
                                : PackedAvx512(codes[0], codes[1], codes[2], codes[3],
                                               out_.zero_point, out_.lo, out_.hi));
  }

  __m512i start[4];

 private:
  MEZZO_INLINE void Load(const void* from, __m512i (&to)[4]) const {
    Unrolled<4>([&](auto k) MEZZO_INLINE {
      to[k] = _mm512_maskz_loadu_epi32(static_cast<__mmask16>(mask_ >> (16 * k)),
                                       static_cast<const char*>(from) + 64 * k);
    });
    TransposeLanesAvx512(to);
  }
  template <Mode kMode>
  MEZZO_INLINE __m512 Scaled(int k, __m512i sum) const {
    const __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_castsi512_ps(scale_[k]));
    return kMode != Mode::kAnything || !out_.has_offset
               ? y
               : _mm512_add_ps(y, _mm512_castsi512_ps(offset_[k]));
  }
  void StoreWords(const __m512i (&sums)[4], char* y) const {
    __m512i words[4];
    for (int k = 0; k < 4; ++k)
      words[k] = out_.kind == QOutput::Kind::kInt32
                     ? sums[k]
                     : _mm512_castps_si512(Scaled<Mode::kAnything>(k, sums[k]));
    TransposeLanesAvx512(words);
    for (int k = 0; k < 4; ++k)
      _mm512_mask_storeu_epi32(y + 64 * k, static_cast<__mmask16>(mask_ >> (16 * k)), words[k]);
  }

  const QDepthwiseRow& r_;
  const QOutput& out_;
  uint64_t mask_;
  __m512 hi_;
  __m512i scale_[4], offset_[4];
};

// P pixels from the i-th on. kUnits > 0 is the number of units where known.
template <Mode kMode, int kUnits, int P>
MEZZO_INLINE inline void Pixels(const QDepthwiseRow& r, const Stage& stage, size_t i) {
  __m512i sums[P][4];
  const uint8_t* x[P];
  Unrolled<P>([&](auto p) MEZZO_INLINE {
    x[p] = r.x + (i + p) * r.step;
    Unrolled<4>([&](auto k) MEZZO_INLINE { sums[p][k] = stage.start[k]; });
  });
  const size_t units = kUnits ? kUnits : r.units;
#pragma GCC unroll 3
  for (size_t u = 0; u < units; ++u) {
    const int32_t offset = r.offsets[u];
    Unrolled<4>([&](auto k) MEZZO_INLINE {
      const __m512i w = _mm512_load_si512(r.w + 256 * u + 64 * k);
      Unrolled<P>([&](auto p) MEZZO_INLINE {
        DotAvx512(sums[p][k], _mm512_load_si512(x[p] + offset + 64 * k), w);
      });
    });
  }
  Unrolled<P>([&](auto p) MEZZO_INLINE { stage.Store<kMode>(sums[p], i + p); });
}

template <Mode kMode, int kUnits>
void Row(const QDepthwiseRow& r) {
  constexpr int kPixels = 4;
  const Stage stage(r);
  size_t i = 0;
  for (; i + kPixels <= r.count; i += kPixels) Pixels<kMode, kUnits, kPixels>(r, stage, i);
  for (; i < r.count; ++i) Pixels<kMode, kUnits, 1>(r, stage, i);
}

template <int kUnits>
void RowOf(const QDepthwiseRow& r) {
  const QOutput& out = *r.out;
  if (out.IsRelu())
    Row<Mode::kRelu, kUnits>(r);
  else
    out.bounded ? Row<Mode::kBounded, kUnits>(r) : Row<Mode::kAnything, kUnits>(r);
}

void RunRow(const QDepthwiseRow& r) { r.units == 3 ? RowOf<3>(r) : RowOf<0>(r); }

}  // namespace

const DepthwiseLines kDepthwiseAvx512Vnni{4, kChannels, Place, MakeRow, RunRow};

}  // namespace mezzo
