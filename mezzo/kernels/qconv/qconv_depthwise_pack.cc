#include <algorithm>

#include "mezzo/base/aligned.h"
#include "mezzo/kernels/qconv/qconv_depthwise.h"

namespace mezzo {
namespace {

// Tap t of the unit whose four bytes of a channel these are.
int32_t Tap(const uint8_t* unit, size_t taps, size_t t) {
  return taps == 2 ? reinterpret_cast<const int16_t*>(unit)[t]
                   : reinterpret_cast<const int8_t*>(unit)[t];
}
void SetTap(uint8_t* unit, size_t taps, size_t t, int32_t v) {
  if (taps == 2)
    reinterpret_cast<int16_t*>(unit)[t] = static_cast<int16_t>(v);
  else
    unit[t] = static_cast<uint8_t>(v);
}

// Where tap (p, q) of channel n is: the four bytes of its unit, and which of these.
struct Place {
  uint8_t* unit;
  size_t tap;
};
Place PlaceOf(const QDepthwiseWeights& w, size_t n, size_t p, size_t q) {
  const DepthwiseLines& lines = *w.lines;
  size_t unit = p * w.row_units() + q / lines.taps, tap = q % lines.taps;
  if (w.slides) unit = p < 4 ? q : 5 + q / 4, tap = p < 4 ? p : q % 4;
  return {w.w.get() + n / lines.channels * w.bytes() + unit * lines.unit_bytes() +
              4 * lines.place(n % lines.channels),
          tap};
}

}  // namespace

size_t QDepthwiseWeights::row_units() const { return DivideUp(kernel_w, lines->taps); }
size_t QDepthwiseWeights::bytes() const { return kernel_h * row_units() * lines->unit_bytes(); }
bool QDepthwiseWeights::in_halves(size_t n) const {
  const size_t last = channels % lines->channels;
  return slides && n >= channels - last && 0 < last && last <= lines->channels / 2;
}

QDepthwiseWeights QDepthwiseWeights::Pack(QCodes w, const QConvShape& s,
                                          std::span<const int32_t> zero) {
  const auto value = [&](size_t n, size_t tap) {
    return w[n * s.taps() + tap] - (zero.empty() ? 0 : zero[zero.size() == 1 ? 0 : n]);
  };
  bool bytes = CurrentIsa() >= Isa::kAvx512Vnni;  // and all weights fit them
  for (size_t n = 0; bytes && n < s.out_c; ++n)
    for (size_t tap = 0; tap < s.taps(); ++tap)
      bytes &= value(n, tap) == static_cast<int8_t>(value(n, tap));
  QDepthwiseWeights packed;
  packed.lines = bytes ? &MEZZO_X86(kDepthwiseAvx512Vnni) : &kDepthwiseAvx2;
  packed.channels = s.out_c, packed.kernel_h = s.kernel_h, packed.kernel_w = s.kernel_w;
  packed.slides = packed.lines->slide && s.kernel_h == s.kernel_w &&
                  (s.kernel_h == 3 || s.kernel_h == 5) && s.dilation_h == 1 && s.dilation_w == 1 &&
                  s.stride_w <= 2;
  packed.w = AlignedZeros<uint8_t>(DivideUp(s.out_c, packed.lines->channels) * packed.bytes());
  packed.sums.assign(s.out_c, 0);
  for (size_t n = 0; n < s.out_c; ++n)
    for (size_t p = 0; p < s.kernel_h; ++p)
      for (size_t q = 0; q < s.kernel_w; ++q) {
        const int32_t v = value(n, p * s.kernel_w + q);
        const Place place = PlaceOf(packed, n, p, q);
        SetTap(place.unit, packed.lines->taps, place.tap, v);
        if (packed.in_halves(n)) {
          const Place twin = PlaceOf(packed, n + packed.lines->channels / 2, p, q);
          SetTap(twin.unit, packed.lines->taps, twin.tap, v);
        }
        packed.sums[n] += static_cast<uint32_t>(v);
      }
  return packed;
}

std::vector<int32_t> QDepthwiseWeights::Filter(size_t n) const {
  std::vector<int32_t> taps;
  for (size_t p = 0; p < kernel_h; ++p)
    for (size_t q = 0; q < kernel_w; ++q) {
      const Place place = PlaceOf(*this, n, p, q);
      taps.push_back(Tap(place.unit, lines->taps, place.tap));
    }
  return taps;
}

}  // namespace mezzo
