// 8-bit floats as bit patterns. Micikevicius et al. 2022, https://arxiv.org/abs/2209.05433,
// table 1.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "mezzo/format/half.h"

namespace mezzo {

// 1-4-3, exponent bias 7, no infinities: all ones but the sign is NaN, so that 448 is the largest.
inline float Fp8E4M3ToFloat(uint8_t b) {
  const uint32_t sign = static_cast<uint32_t>(b & 0x80) << 24;
  const uint32_t exponent = b >> 3 & 15, mantissa = b & 7;
  if ((b & 0x7f) == 0x7f) return std::bit_cast<float>(sign | 0x7fc00000);
  if (exponent == 0) {  // zero and subnormals: mantissa * 2^-9
    const float magnitude = static_cast<float>(mantissa) * 0x1p-9f;
    return sign ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | (exponent + 120) << 23 | mantissa << 20);
}

// 1-5-2: the upper byte of a binary16.
inline float Fp8E5M2ToFloat(uint8_t b) { return HalfToFloat(static_cast<uint16_t>(b << 8)); }

// The two 1-4-3 formats that hardware multiplies: OCP's, and FNUZ with bias 8 and one zero.
struct Fp8Format {
  float max;
  int least_exponent;  // of normal numbers
};
inline constexpr Fp8Format kE4M3FN{448, -6}, kE4M3FNUZ{240, -7};

// The nearest value of the format, ties to even, saturating. `x` must not be NaN.
inline float RoundToFp8(Fp8Format f, float x) {
  const float magnitude = std::min(std::fabs(x), f.max);
  const int exponent =
      std::max(static_cast<int>(std::bit_cast<uint32_t>(magnitude) >> 23) - 127, f.least_exponent);
  const float step = std::bit_cast<float>(static_cast<uint32_t>(exponent - 3 + 127) << 23);
  return std::copysign(std::nearbyint(magnitude / step) * step, x);
}

// The code of the nearest E4M3FN value.
inline uint8_t FloatToFp8E4M3(float x) {
  const float v = RoundToFp8(kE4M3FN, x);
  const uint32_t bits = std::bit_cast<uint32_t>(v), sign = bits >> 24 & 0x80;
  const float magnitude = std::fabs(v);
  const uint32_t code = magnitude < 0x1p-6f ? static_cast<uint32_t>(magnitude * 512)
                                            : (bits >> 20 & 0x7ff) - (120 << 3);
  return static_cast<uint8_t>(sign | code);
}

// Unsigned 3-5, exponent bias 7, neither infinity nor NaN: 0 to 1.97, in steps of at most 1/32 of
// the value from 2^-6 on.
inline float UnsignedE3M5ToFloat(uint8_t b) {
  const int exponent = b >> 5, mantissa = b & 31;
  return exponent == 0
             ? static_cast<float>(mantissa) * 0x1p-11f
             : std::bit_cast<float>(static_cast<uint32_t>(exponent + 120) << 23 | mantissa << 18);
}

// The code of the nearest value, ties to even, saturating. `x` must be 0 or more.
inline uint8_t FloatToUnsignedE3M5(float x) {
  if (x < 0x1p-6f) return static_cast<uint8_t>(std::nearbyint(x * 0x1p11f));
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint32_t code = ((bits + 0x1ffff + (bits >> 18 & 1)) >> 18) - (120 << 5);
  return static_cast<uint8_t>(std::min<uint32_t>(code, 255));
}

}  // namespace mezzo
