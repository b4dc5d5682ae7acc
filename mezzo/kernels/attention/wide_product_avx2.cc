#include "mezzo/kernels/attention/wide_product_tile_avx2.h"

namespace mezzo {
void WideRunAvx2(const WideRows& a, const WidePanels& b, float* y, int64_t y_stride) {
  WideRunInAvx2<MultiplyAddAvx2>(a, b, y, y_stride);
}

}  // namespace mezzo
