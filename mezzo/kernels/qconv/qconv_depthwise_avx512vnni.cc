// Quads of neighbouring pixels' codes for vpdpbusd, 64 channels at once. Compiled for AVX-512
// (CMakeLists.txt).
#include "mezzo/kernels/qconv/qconv_depthwise_avx512.h"

namespace mezzo {
namespace {

constexpr size_t kChannels = 64;

size_t Place(size_t c) { return c % 16 / 4 * 16 + c / 16 * 4 + c % 4; }

// Of four pixels, given as pairs.
MEZZO_INLINE inline void StoreQuads(BytePairs ab, BytePairs cd, uint8_t* to) {
  __m512i quads[4];
  QuadsAvx512(ab, cd, quads);
  Unrolled<4>([&](auto k) MEZZO_INLINE { _mm512_store_si512(to + 64 * k, quads[k]); });
}

void MakeRow(const QUnitsOfRow& r) {
  const __mmask64 mask = FirstBytesAvx512(r.channels);
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

// P pixels from the i-th on. kUnits > 0 is the number of units where known.
template <DepthwiseMode kMode, int kUnits, int P>
MEZZO_INLINE inline void Pixels(const QDepthwiseRow& r, const DepthwiseStage& stage, size_t i) {
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
  Unrolled<P>([&](auto p) MEZZO_INLINE { stage.Store<kMode>(sums[p], r.y + (i + p) * r.y_step); });
}

template <DepthwiseMode kMode, int kUnits>
void Row(const QDepthwiseRow& r) {
  constexpr int kPixels = 4;
  const DepthwiseStage stage(*r.out, r.start, r.channel, r.channels, false);
  size_t i = 0;
  for (; i + kPixels <= r.count; i += kPixels) Pixels<kMode, kUnits, kPixels>(r, stage, i);
  for (; i < r.count; ++i) Pixels<kMode, kUnits, 1>(r, stage, i);
}

template <int kUnits>
void RowOf(const QDepthwiseRow& r) {
  WithDepthwiseMode(*r.out, [&](auto mode) { Row<mode, kUnits>(r); });
}

void RunRow(const QDepthwiseRow& r) { r.units == 3 ? RowOf<3>(r) : RowOf<0>(r); }

}  // namespace

const DepthwiseLines kDepthwiseAvx512Vnni{4, kChannels, Place, MakeRow, RunRow, SlideAvx512Vnni};

}  // namespace mezzo
