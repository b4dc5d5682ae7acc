// Pooling of 8-bit codes, channels last.
//
//   average:  y = clamp(round_half_even(float(sum of (x - x_zero) over the window)
//                                       * (ratio / float(count))), lo - y_zero, hi - y_zero) +
//                                       y_zero
//   maximum:  y = the largest code in the window
//
// with ratio = x_scale / y_scale. Taps outside the image are not part of the window; `count` leaves
// them out too unless count_padding is set. A window wholly outside gives sum 0 (average) and the
// smallest code (maximum).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "mezzo/base/threads.h"
#include "mezzo/kernels/qconv/qconv.h"
#include "mezzo/kernels/qgemm/qgemm.h"

namespace mezzo {

struct QPoolArgs {
  QConvShape shape;  // in_c == out_c; groups is not looked at
  QCodes x;
  void* y = nullptr;
  bool count_padding = false;  // average: taps in the stated padding count
  size_t pad_bottom = 0, pad_right = 0;
};

struct QAverageParams {
  float ratio = 1;
  int32_t x_zero = 0, y_zero = 0, lo = 0, hi = 255;
};

void QAveragePool(const QPoolArgs& args, const QAverageParams& params, const Threads& threads);
void QAveragePoolRef(const QPoolArgs& args, const QAverageParams& params);
void QMaxPool(const QPoolArgs& args, const Threads& threads);
void QMaxPoolRef(const QPoolArgs& args);

// What a window sees: taps of all channels from x + offset on.
struct QTaps {
  const uint8_t* x;
  bool is_signed;
  std::span<const size_t> offsets;
};

// The lines of one instruction set over `n` channels.
void AddCodesAvx2(QCodes x, size_t n, int32_t* sums);  // sums[c] += x[c]
// y[c] = the largest tap[c], the least code if there is no tap
void MaxOfTapsAvx2(const QTaps& taps, size_t n, uint8_t* y);
void StoreAverageAvx2(const int32_t* sums, size_t n, int32_t zero_sum, float multiplier,
                      const QAverageParams& params, uint8_t* y);

}  // namespace mezzo
