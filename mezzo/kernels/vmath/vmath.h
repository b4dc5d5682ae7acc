// Elementary functions of several floats at once, the same bits on every machine and for vectors of
// any length: only + - * /, fused multiply-adds and comparisons are used. NaN gives NaN.
// Coefficients are least-maximum fits made for this file.
#pragma once

#include <bit>

#include "mezzo/kernels/vmath/vector.h"

namespace mezzo::vmath {

// c[kBegin] + c[kBegin + 1] x + ... up to c[kEnd - 1]; powers[i] is x^(2^i). Halves that do not
// wait for one another (Estrin's scheme).
template <size_t kBegin, size_t kEnd, class V, size_t N>
[[gnu::always_inline]] inline V PolynomialPart(const V* powers, const float (&c)[N]) {
  if constexpr (kEnd - kBegin == 1) {
    return Constant<V>(c[kBegin]);
  } else {
    constexpr size_t kHalf = std::bit_floor(kEnd - kBegin - 1);
    return Fma(PolynomialPart<kBegin + kHalf, kEnd>(powers, c), powers[std::countr_zero(kHalf)],
               PolynomialPart<kBegin, kBegin + kHalf>(powers, c));
  }
}

// c[0] + c[1] x + c[2] x^2 + ...
template <class V, size_t N>
[[gnu::always_inline]] inline V Polynomial(V x, const float (&c)[N]) {
  static_assert(N <= 16);
  const V two = x * x, four = two * two;
  const V powers[] = {x, two, four, four * four};
  return PolynomialPart<0, N>(powers, c);
}

// e^x within 2 ulp; subnormal results too.
template <class V>
[[gnu::always_inline]] inline V Exp(V x) {
  constexpr float kLog2E = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  const V clamped = Clamp(x, -104.0f, 89.0f);
  const V n = Whole(clamped * kLog2E);
  const V r = Fma(n, Constant<V>(-kLn2Low), Fma(n, Constant<V>(-kLn2High), clamped));
  const V p = Polynomial(r, {0.5f, 0.16666518f, 0.041666206f, 0.0083689084f, 0.0013950522f});
  return Scaled(1.0f + Fma(r * r, p, r), n);
}

// 1 / (1 + e^-x) within 3 ulp.
template <class V>
[[gnu::always_inline]] inline V Sigmoid(V x) {
  const V z = Exp(-Abs(x));
  const V s = 1.0f / (1.0f + z);
  return x >= 0.0f ? s : z * s;
}

// Within 3 ulp.
template <class V>
[[gnu::always_inline]] inline V Tanh(V x) {
  const V a = Abs(x), s = x * x;
  const V p =
      Polynomial(s, {-0.33333284f, 0.13331491f, -0.053743497f, 0.020650579f, -0.005717037f});
  const V small = CopySign(Fma(x * s, p, x), x);  // -0 stays -0
  const V large = CopySign(1.0f - 2.0f / (Exp(a + a) + 1.0f), x);
  return a < 0.625f ? small : x == x ? large : x;
}

// Within 5 ulp: x P(x^2) / Q(x^2), which is 1 from 4 on.
template <class V>
[[gnu::always_inline]] inline V Erf(V x) {
  const V t = Clamp(x, -4.0f, 4.0f), s = t * t;
  const V p =
      Polynomial(s, {1.8264442682266235f, 0.3117741346359253f, 0.09006249159574509f,
                     0.006807814352214336f, 0.0006598010077141225f, 1.0776284398161806e-05f});
  const V q = Polynomial(
      s, {1.618644118309021f, 0.8158507943153381f, 0.1899006962776184f, 0.026290036737918854f,
          0.0022859752643853426f, 0.00011590136273298413f, 4.0939735868050775e-07f});
  return Clamp(t * p / q, -1.0f, 1.0f);
}

// x Phi(x), the exact form.
template <class V>
[[gnu::always_inline]] inline V Gelu(V x) {
  return 0.5f * x * (1.0f + Erf(x * 0.70710678f));
}

// The form with tanh.
template <class V>
[[gnu::always_inline]] inline V GeluTanh(V x) {
  return 0.5f * x * (1.0f + Tanh(0.79788456f * (x + 0.044715f * x * x * x)));
}

// The larger / the sum of n elements, in an order that depends on n only.
inline float MaxOf(const float* x, size_t n, float start) {
  F8 m = Splat(start);
  size_t i = 0;
  for (; i + 8 <= n; i += 8) m = Max(m, Load(x + i));
  for (size_t j = 0; i < n; ++i, ++j) m[j] = x[i] > m[j] || x[i] != x[i] ? x[i] : m[j];
  float r = m[0];
  for (int j = 1; j < 8; ++j) r = m[j] > r || m[j] != m[j] ? m[j] : r;
  return r;
}
// The largest |x|; NaN if one is: compared as integers, which have the order of magnitudes, and NaN
// above them all.
inline float LargestMagnitude(const float* x, size_t n) {
  I8 m{};
  const auto take = [&](F8 v) {
    const I8 bits = (I8)Abs(v);
    m = bits > m ? bits : m;
  };
  size_t i = 0;
  for (; i + 8 <= n; i += 8) take(Load(x + i));
  if (i < n) take(LoadPart(x + i, n - i));
  __m128i top =
      _mm_max_epi32(_mm256_castsi256_si128((__m256i)m), _mm256_extracti128_si256((__m256i)m, 1));
  top = _mm_max_epi32(top, _mm_shuffle_epi32(top, 0x4e));
  return _mm_castsi128_ps(_mm_max_epi32(top, _mm_shuffle_epi32(top, 0xb1)))[0];
}

// Zeros behind the last element change nothing.
template <class F>
inline double SumOf(const float* x, size_t n, const F& f) {
  typedef float F4 __attribute__((vector_size(16)));
  D4 sum[4] = {};  // of every 16th element
  const auto add = [&](const float* sixteen) {
#pragma GCC unroll 4
    for (int h = 0; h < 4; ++h) {
      F4 v;
      std::memcpy(&v, sixteen + 4 * h, sizeof(v));
      sum[h] += f(__builtin_convertvector(v, D4));
    }
  };
  size_t i = 0;
  for (; i + 16 <= n; i += 16) add(x + i);
  if (i < n) {
    float tail[16] = {};
    std::memcpy(tail, x + i, (n - i) * sizeof(float));
    add(tail);
  }
  const D4 s = (sum[0] + sum[2]) + (sum[1] + sum[3]);
  return (s[0] + s[2]) + (s[1] + s[3]);
}
inline double SumOf(const float* x, size_t n) {
  return SumOf(x, n, [](auto v) { return v; });
}

}  // namespace mezzo::vmath
