// The loops of wide_weights.h for vectors V of floats. Instantiated with V = F16 only in a file
// that is compiled for AVX-512.
#pragma once

#include <algorithm>
#include <cfloat>

#include "mezzo/kernels/attention/wide_weights.h"
#include "mezzo/kernels/vmath/functions_lines.h"
#include "mezzo/kernels/wide_codes.h"

namespace mezzo {

template <class V>
struct WideWeightLines {
  using Lines = vmath::Lines<V>;
  static constexpr int kLanes = Lines::kLanes, kVectors = 16 / kLanes;
  static constexpr int64_t kRows = 8;  // that take a step together: none waits for its own sums

  struct Sixteen {
    V v[kVectors];
    static Sixteen Load(const float* x) {
      Sixteen s;
      for (int i = 0; i < kVectors; ++i) s.v[i] = Lines::LoadAt(x + i * kLanes);
      return s;
    }
    void Store(float* x) const {
      for (int i = 0; i < kVectors; ++i) Lines::StoreAt(x + i * kLanes, v[i]);
    }
  };

  // Over a row's positions, and the largest and both sums of p.
  struct Sums {
    Sixteen exponentials{}, products{}, most{};

    [[gnu::always_inline]] Sixteen Take(const Sixteen& scores, V top, const Sixteen& scales) {
      Sixteen p;
      for (int i = 0; i < kVectors; ++i) {
        const V e = vmath::Exp(scores.v[i] - top);
        p.v[i] = e * scales.v[i];
        exponentials.v[i] += e;
        products.v[i] += p.v[i];
        most.v[i] = LargerMagnitude(p.v[i], most.v[i]);
      }
      return p;
    }
    // Compared as integers: NaN is above all numbers.
    static V LargerMagnitude(V a, V b) {
      using I = vmath::IntegersOf<V>;
      const I x = (I)vmath::Abs(a), y = (I)b;
      return (V)(x > y ? x : y);
    }
    static float Sum(const Sixteen& s) {
      alignas(64) float x[16];
      s.Store(x);
      const auto eight = (__m256)(vmath::Load(x) + vmath::Load(x + 8));
      __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
      four = _mm_add_ps(four, _mm_movehl_ps(four, four));
      return four[0] + four[1];
    }
    float Largest() const {
      alignas(64) float x[16];
      most.Store(x);
      return vmath::LargestMagnitude(x, 16);
    }
  };

  // p of n positions in place of their scores, zeros behind them up to a multiple of 16.
  static Sums Exponentials(float* scores, const float* value_scales, int64_t n) {
    const V top = vmath::Constant<V>(Lines::LargestOf(scores, static_cast<size_t>(n)));
    Sums sums;
    int64_t t = 0;
    for (; t + 16 <= n; t += 16)
      sums.Take(Sixteen::Load(scores + t), top, Sixteen::Load(value_scales + t)).Store(scores + t);
    if (t == n) return sums;
    float last[16], scales[16] = {};
    std::fill_n(last, 16, -__builtin_inff());
    std::copy_n(scores + t, n - t, last);
    std::copy_n(value_scales + t, n - t, scales);
    sums.Take(Sixteen::Load(last), top, Sixteen::Load(scales)).Store(scores + t);
    return sums;
  }

  static float LargerOrNan(float a, float b) { return a > b || a != a ? a : b; }

  static void Run(const WideScores& s) {
    for (int64_t begin = 0; begin < s.count; begin += kRows) {
      const int64_t end = std::min(begin + kRows, s.count);
      const auto seen = [&](int64_t r) { return s.first + r / s.group + 1; };
      float inverse[kRows];
      for (int64_t r = begin; r < end; ++r) {
        const int64_t n = seen(r);
        const Sums sums = Exponentials(s.scores + r * s.stride, s.value_scales, n);
        // Codes add up to the sum of p over the unit, and half a code for each.
        const float room = kLargestSum / kValueTop - static_cast<float>(n);
        float unit = LargerOrNan(sums.Largest() / 32767, Sums::Sum(sums.products) * 1.001f / room);
        if (unit < FLT_MIN) unit = FLT_MIN;
        s.scales[r] = unit / Sums::Sum(sums.exponentials);
        inverse[r - begin] = 1 / unit;
      }
      for (int64_t r = begin; r < end; ++r) {
        const float* p = s.scores + r * s.stride;
        int16_t* const codes = s.codes + r * s.stride;
        const int64_t n = seen(r);
        int64_t t = 0;
        for (; t < n; t += 16)
          for (int i = 0; i < 16; i += kLanes)
            StoreWideCodes(Lines::LoadAt(p + t + i) * inverse[r - begin], codes + t + i);
        std::fill(codes + t, codes + s.stride, int16_t{0});
      }
    }
  }
};

}  // namespace mezzo
