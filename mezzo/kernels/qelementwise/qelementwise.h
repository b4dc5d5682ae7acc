// Elementwise arithmetic on 8-bit codes.
//
//   QAdd:  v[i] = a_ratio * float(a[i] - a_zero) + b_ratio * float(b[i] - b_zero)
//   QMul:  v[i] = ratio * float((a[i] - a_zero) * (b[i] - b_zero))
//   y[i] = clamp(round_half_even(v[i]), lo - y_zero, hi - y_zero) + y_zero
//
// in single precision, each operation rounded, in this order; with a_ratio = a_scale / y_scale,
// b_ratio = b_scale / y_scale and ratio = a_scale * b_scale / y_scale.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "mezzo/kernels/qgemm/qgemm.h"

namespace mezzo {

struct QBinaryParams {
  bool multiply = false;
  float a_ratio = 1, b_ratio = 1;  // QMul: a_ratio is the ratio
  int32_t a_zero = 0, b_zero = 0, y_zero = 0;
  int32_t lo = 0, hi = 255;  // codes of y's type
};

// n elements; an operand with step 0 is one code for all of them. y takes either sign of code: its
// low byte is stored.
struct QBinaryArgs {
  QCodes a, b;
  size_t a_step = 1, b_step = 1;  // 0 or 1
  void* y = nullptr;
  size_t n = 0;
};

void QBinary(const QBinaryArgs& args, const QBinaryParams& params);
void QBinaryRef(const QBinaryArgs& args, const QBinaryParams& params);

// What may follow the output stage of a product: its codes are operand a of an addition, operand b
// lies in memory as the result does.
struct QResidual {
  QBinaryParams params;
  bool a_signed = false;
  QCodes b;
};

// y[i] = table[x[i] as an unsigned byte]: any function of one code. x and y may be the same.
using QTable = std::array<uint8_t, 256>;
void QLut(const uint8_t* x, const QTable& table, uint8_t* y, size_t n);

// The same with a table for each channel: `tables` holds 256 bytes a channel, x rows of all
// channels.
void QLutChannels(const uint8_t* x, const uint8_t* tables, size_t channels, uint8_t* y,
                  size_t rows);

// One scale and zero point, of uint8 or int8 codes: value = scale * (code - zero).
struct QScale {
  float scale = 1;
  int32_t zero = 0;
  bool is_signed = false;
  int32_t lo() const { return is_signed ? -128 : 0; }
  int32_t hi() const { return is_signed ? 127 : 255; }
};

// y[i] = clamp(round_half_even(x[i] / scale) + zero); NaN gets the code of zero.
void Quantize(const float* x, const QScale& s, uint8_t* y, size_t n);
void QuantizeRef(const float* x, const QScale& s, uint8_t* y, size_t n);
// y[i] = (x[i] - zero) * scale
void Dequantize(const uint8_t* x, const QScale& s, float* y, size_t n);
void DequantizeRef(const uint8_t* x, const QScale& s, float* y, size_t n);

// The lines of one instruction set: the elements up to a whole number of vectors; returns how many.
size_t QBinaryAvx2(const QBinaryArgs& args, const QBinaryParams& params);
size_t QLutAvx2(const uint8_t* x, const QTable& table, uint8_t* y, size_t n);
size_t QLutAvx512Vbmi(const uint8_t* x, const QTable& table, uint8_t* y, size_t n);
size_t QuantizeAvx2(const float* x, const QScale& s, uint8_t* y, size_t n);
size_t QuantizeAvx512(const float* x, const QScale& s, uint8_t* y, size_t n);
size_t DequantizeAvx2(const uint8_t* x, const QScale& s, float* y, size_t n);
size_t DequantizeAvx512(const uint8_t* x, const QScale& s, float* y, size_t n);
// The channels of all rows up to a whole number of vectors; returns how many.
size_t QLutChannelsAvx512Vbmi(const uint8_t* x, const uint8_t* tables, size_t channels, uint8_t* y,
                              size_t rows);

}  // namespace mezzo
