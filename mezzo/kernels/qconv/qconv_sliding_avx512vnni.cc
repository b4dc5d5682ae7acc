// Depthwise 3x3 and 5x5 windows that slide along the columns: each column of pixels is read once
// for a row of outputs, becomes quads in registers (a channel's codes of four image rows), and is
// added to all windows that see it. A fifth row makes quads of four columns instead, where a
// window begins; the last tap is the first of the quad where it ends. Compiled for AVX-512
// (CMakeLists.txt).
#include "mezzo/kernels/qconv/qconv_depthwise_avx512.h"

namespace mezzo {
namespace {

// Columns of the image rows that a window sees.
template <int kKernel, bool kTwice>
class Columns {
 public:
  MEZZO_INLINE explicit Columns(const QSlidingRow& r)
      : pixel_(r.pixel),
        pixels_(r.pixels),
        mask_(FirstBytesAvx512(r.channels)),
        flip_(_mm512_set1_epi8(static_cast<char>(r.flip))),
        zero_(_mm512_set1_epi8(static_cast<char>(r.zero))) {
    Unrolled<kKernel>([&](auto p) MEZZO_INLINE { x_[p] = r.x[0][p], other_[p] = r.x[1][p]; });
  }

  MEZZO_INLINE bool Inside(size_t column) const { return column < pixels_; }
  MEZZO_INLINE __m512i Codes(int row, size_t column) const {
    const uint8_t* x = x_[row] + column * pixel_;
    if (row >= kKernel - 2)  // the others have been seen; the stride hides it from processors
      _mm_prefetch(x + 6 * pixel_, _MM_HINT_T0);
    if (kTwice) {
      const auto mask = static_cast<__mmask32>(mask_);
      return _mm512_add_epi8(
          flip_,
          _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_maskz_loadu_epi8(mask, x)),
                             _mm256_maskz_loadu_epi8(mask, other_[row] + column * pixel_), 1));
    }
    __m512i codes;  // in one instruction, which reads no more than the mask's bytes
    asm("vpaddb %[x], %[flip], %[codes]%{%[mask]%}%{z%}"
        : [codes] "=v"(codes)
        : [x] "m"(*reinterpret_cast<const char(*)[64]>(x)), [flip] "v"(flip_), [mask] "Yk"(mask_));
    return codes;
  }
  MEZZO_INLINE __m512i CodesOrZero(int row, size_t column) const {
    return Inside(column) ? Codes(row, column) : zero_;
  }

 private:
  const uint8_t *x_[kKernel], *other_[kKernel];
  size_t pixel_, pixels_;
  __mmask64 mask_;
  __m512i flip_, zero_;
};

// Quads of four columns of the fifth row.
template <int kKernel, int kStride, bool kTwice>
class FifthRow {
 public:
  MEZZO_INLINE FifthRow(const Columns<kKernel, kTwice>& x, size_t column) {
    if (kKernel < 5) return;
    const __m512i b = x.CodesOrZero(kRow, column + 1);
    c_ = x.CodesOrZero(kRow, column + 2);
    ab_ = PairsAvx512(x.CodesOrZero(kRow, column), b), bc_ = PairsAvx512(b, c_);
  }
  // From this column on, `kStride` after the one before.
  MEZZO_INLINE void Next(const Columns<kKernel, kTwice>& x, size_t column, __m512i (&quads)[4]) {
    const __m512i c = kStride == 1 ? c_ : x.CodesOrZero(kRow, column + 2);
    const __m512i d = x.CodesOrZero(kRow, column + 3);
    const BytePairs cd = PairsAvx512(c, d);
    QuadsAvx512(ab_, cd, quads);
    ab_ = kStride == 1 ? bc_ : cd, bc_ = cd, c_ = d;
  }

 private:
  static constexpr int kRow = kKernel - 1;
  BytePairs ab_, bc_;
  __m512i c_;
};

template <int kKernel, int kStride>
struct Window {
  static constexpr int kOpen = (kKernel + kStride - 1) / kStride;  // that see a column

  // What its sums begin with: columns outside the image are added at once. Whole windows begin at
  // columns below `whole`.
  static MEZZO_INLINE void Begin(const DepthwiseStage& stage, const QSlidingRow& r, size_t column,
                                 size_t whole, __m512i (&sum)[4]) {
    Unrolled<4>([&](auto k) MEZZO_INLINE { sum[k] = stage.start[k]; });
    if (column < whole) return;
    const __m512i zero = _mm512_set1_epi8(static_cast<char>(r.zero));
    for (int tap = 0; tap < kKernel; ++tap)
      if (column + tap >= r.pixels)
        Unrolled<4>([&](auto k) MEZZO_INLINE { DotAvx512<64 * k>(sum[k], zero, r.w + 256 * tap); });
  }

  // A column, tap kTap of the n-th window, to all that see it. `kept`: weights of 3x3, in
  // registers.
  template <int n, int kTap, bool kTwice>
  static MEZZO_INLINE void Add(const Columns<kKernel, kTwice>& x, size_t column, const uint8_t* w,
                               const __m512i (&kept)[3][4], __m512i (&sums)[kOpen][4]) {
    if (!x.Inside(column)) return;
    const __m512i last = kKernel > 3 ? x.Codes(kKernel / 2 + 1, column) : _mm512_setzero_si512();
    __m512i quads[4];
    QuadsAvx512(PairsAvx512(x.Codes(0, column), x.Codes(1, column)),
                PairsAvx512(x.Codes(2, column), last), quads);
    Unrolled<4>([&](auto k) MEZZO_INLINE {
      Unrolled<kOpen>([&](auto before) MEZZO_INLINE {
        constexpr int tap = kTap + kStride * before, of = (n + kOpen - before) % kOpen;
        if constexpr (kKernel == 3 && tap < 3) DotAvx512(sums[of][k], quads[k], kept[tap][k]);
        if constexpr (kKernel == 5 && tap < 5)
          DotAvx512<256 * tap + 64 * k>(sums[of][k], quads[k], w);
      });
    });
  }
};

template <int kKernel, int kStride, bool kTwice, DepthwiseMode kMode>
void Slide(const QSlidingRow& r) {
  using Windows = Window<kKernel, kStride>;
  constexpr int kOpen = Windows::kOpen;
  const DepthwiseStage stage(*r.out, r.start, r.channel, r.channels, kTwice);
  const Columns<kKernel, kTwice> x(r);
  const uint8_t* const w = r.w;
  __m512i kept[3][4];
  if constexpr (kKernel == 3)
    Unrolled<3>([&](auto tap) MEZZO_INLINE {
      Unrolled<4>([&](auto k)
                      MEZZO_INLINE { kept[tap][k] = _mm512_load_si512(w + 256 * tap + 64 * k); });
    });
  const size_t whole = r.zero == 0 ? SIZE_MAX : r.pixels < kKernel ? 0 : r.pixels - kKernel + 1;
  const auto count = static_cast<ptrdiff_t>(r.count);
  const size_t y_step = r.y_step;
  char *y = r.y[0], *second = r.y[1];
  size_t column = r.first;
  FifthRow<kKernel, kStride, kTwice> fifth(x, column);
  __m512i sums[kOpen][4];
  Unrolled<kOpen>([&](auto n) MEZZO_INLINE {
    Unrolled<4>([&](auto k) MEZZO_INLINE { sums[n][k] = _mm512_setzero_si512(); });
  });
  for (ptrdiff_t output = 1 - kOpen; output < count;)  // of the window that ends
    Unrolled<kOpen>([&](auto n) MEZZO_INLINE {
      constexpr int end = (n + 1) % kOpen;
      Windows::Begin(stage, r, column, whole, sums[n]);
      if constexpr (kKernel == 5) {
        __m512i quads[4];
        fifth.Next(x, column, quads);
        Unrolled<4>([&](auto k) MEZZO_INLINE {
          DotAvx512<256 * 5 + 64 * k>(sums[n][k], quads[k], w);
          DotAvx512<256 * 6 + 64 * k>(sums[end][k], quads[k], w);
        });
      }
      Windows::template Add<n, 0>(x, column++, w, kept, sums);
      if (0 <= output && output < count) {
        stage.template Store<kMode>(sums[end], y, kTwice ? second : nullptr);
        y += y_step;
        if (kTwice) second += y_step;
      }
      ++output;
      if constexpr (kStride == 2) Windows::template Add<n, 1>(x, column++, w, kept, sums);
    });
}

template <int kKernel, int kStride, bool kTwice>
void SlideBy(const QSlidingRow& r) {
  WithDepthwiseMode(*r.out, [&](auto mode) { Slide<kKernel, kStride, kTwice, mode>(r); });
}
template <int kKernel, int kStride>
void SlideOnce(const QSlidingRow& r) {
  r.y[1] ? SlideBy<kKernel, kStride, true>(r) : SlideBy<kKernel, kStride, false>(r);
}

}  // namespace

void SlideAvx512Vnni(const QSlidingRow& r, size_t kernel, size_t stride) {
  if (kernel == 3)
    stride == 1 ? SlideOnce<3, 1>(r) : SlideOnce<3, 2>(r);
  else
    stride == 1 ? SlideOnce<5, 1>(r) : SlideOnce<5, 2>(r);
}

}  // namespace mezzo
