#include "mezzo/kernels/attention/wide_product.h"

#include "mezzo/base/cpu.h"

namespace mezzo {

void WideRunRef(const WideRows& a, const WidePanels& b, float* y, int64_t y_stride) {
  for (int64_t r = 0; r < a.count; ++r)
    for (int64_t n = 0; n < b.panels * WidePanels::kWidth; ++n) {
      const int16_t* column =
          b.codes + n / WidePanels::kWidth * b.stride + n % WidePanels::kWidth * 2;
      uint32_t sum = 0;  // wraps where vectors do: codes of NaN are out of range
      for (int64_t k = 0; k < 2 * b.pairs; ++k)
        sum += static_cast<uint32_t>(int32_t{a.codes[r * a.stride + k]} *
                                     column[k / 2 * 2 * WidePanels::kWidth + k % 2]);
      const float scale = b.scales ? a.scales[r] * b.scales[n] : a.scales[r];
      y[r * y_stride + n] = static_cast<float>(static_cast<int32_t>(sum)) * scale;
    }
}

void WideProduct(const WideRows& a, const WidePanels& b, float* y, int64_t y_stride) {
  switch (CurrentIsa()) {
    case Isa::kPlain:
      return WideRunRef(a, b, y, y_stride);
    case Isa::kAvxVnni:
      return MEZZO_X86(WideRunAvxVnni)(a, b, y, y_stride);
    case Isa::kAvx512Vnni:
      return MEZZO_X86(WideRunAvx512Vnni)(a, b, y, y_stride);
    default:
      return WideRunAvx2(a, b, y, y_stride);
  }
}

}  // namespace mezzo
