// The loops of functions.h for vectors V of floats. Instantiated with V = F16 only in a file that
// is compiled for AVX-512.
#pragma once

#include "mezzo/kernels/vmath/functions.h"
#include "mezzo/kernels/vmath/vmath.h"

namespace mezzo::vmath {

template <class V>
struct Lines {
  static constexpr size_t kLanes = sizeof(V) / sizeof(float), kBlock = 256;

  static V LoadAt(const float* x) {
    V v;
    __builtin_memcpy(&v, x, sizeof(v));
    return v;
  }
  static void StoreAt(float* y, V v) { __builtin_memcpy(y, &v, sizeof(v)); }
  static V SqrtOf(V x) {
    for (size_t i = 0; i < kLanes; ++i) x[i] = __builtin_sqrtf(x[i]);
    return x;
  }

  // y[i] = f(a[i], b[i]) for whole vectors; no b or no a: the constant.
  template <class F>
  static void Apply2(const float* a, const float* b, float constant, float* y, size_t n,
                     const F& f) {
    const V c = Constant<V>(constant);
    if (a && b)
      for (size_t i = 0; i < n; i += kLanes) StoreAt(y + i, f(LoadAt(a + i), LoadAt(b + i)));
    else if (a)
      for (size_t i = 0; i < n; i += kLanes) StoreAt(y + i, f(LoadAt(a + i), c));
    else
      for (size_t i = 0; i < n; i += kLanes) StoreAt(y + i, f(c, LoadAt(b + i)));
  }
  template <class F>
  static void Apply(const float* a, float* y, size_t n, const F& f) {
    for (size_t i = 0; i < n; i += kLanes) StoreAt(y + i, f(LoadAt(a + i)));
  }

  // y[i] = a[i] / c, rounded as division rounds: the product with 1 / c is corrected by its exact
  // remainder (Markstein 1990), where neither can leave the range of normal numbers.
  static void DivideBy(const float* a, float c, float* y, size_t n) {
    constexpr int32_t kLeast = 0x0d800000, kMost = 0x71800000;  // 2^-100 and 2^100
    const float inverse = 1 / c, size = c < 0 ? -c : c;
    int32_t bits;
    __builtin_memcpy(&bits, &c, sizeof(bits));
    const bool exact = size > 0x1p-20f && size < 0x1p20f && (bits & 0x7fffff) != 0x7fffff;
    const V divisor = Constant<V>(c), factor = Constant<V>(inverse);
    for (size_t i = 0; i < n; i += kLanes) {
      const V v = LoadAt(a + i);
      const IntegersOf<V> magnitude = (IntegersOf<V>)Abs(v);
      const IntegersOf<V> odd = (magnitude < kLeast) | (magnitude > kMost);
      const V product = v * factor;
      const V corrected = Fma(Fma(-product, divisor, v), factor, product);
      StoreAt(y + i, exact && !AnyLane(odd) ? corrected : v / divisor);
    }
  }

  static void RunStep(const Step& s, const float* a, const float* b, float* y, size_t n) {
    using Kind = Step::Kind;
    switch (s.kind) {
      case Kind::kAdd:
        return Apply2(a, b, s.constant, y, n, [](V u, V v) { return u + v; });
      case Kind::kSub:
        return Apply2(a, b, s.constant, y, n, [](V u, V v) { return u - v; });
      case Kind::kMul:
        return Apply2(a, b, s.constant, y, n, [](V u, V v) { return u * v; });
      case Kind::kDiv:
        if (!b) return DivideBy(a, s.constant, y, n);
        return Apply2(a, b, s.constant, y, n, [](V u, V v) { return u / v; });
      case Kind::kErf:
        return Apply(a, y, n, [](V v) { return Erf(v); });
      case Kind::kExp:
        return Apply(a, y, n, [](V v) { return Exp(v); });
      case Kind::kSigmoid:
        return Apply(a, y, n, [](V v) { return Sigmoid(v); });
      case Kind::kTanh:
        return Apply(a, y, n, [](V v) { return Tanh(v); });
      case Kind::kSqrt:
        return Apply(a, y, n, [](V v) { return SqrtOf(v); });
      case Kind::kNeg:
        return Apply(a, y, n, [](V v) { return -v; });
    }
  }

  // Blocks whose results of all steps stay in the first-level cache; a tail is padded with zeros.
  static void Run(const Step* steps, size_t count, const float* x, float* y, size_t n) {
    alignas(64) float tail[kBlock], results[kMaxSteps][kBlock];
    for (size_t at = 0; at < n; at += kBlock) {
      const size_t m = n - at < kBlock ? n - at : kBlock;
      const size_t whole = (m + kLanes - 1) / kLanes * kLanes;
      const float* from = x + at;
      if (whole != m) {
        __builtin_memset(tail, 0, sizeof(tail));
        __builtin_memcpy(tail, from, m * sizeof(float));
        from = tail;
      }
      const auto operand = [&](uint8_t i) {
        return i == Step::kConstant ? nullptr : i == 0 ? from : results[i - 1];
      };
      for (size_t s = 0; s < count; ++s) {
        float* to = s + 1 == count && whole == m ? y + at : results[s];
        RunStep(steps[s], operand(steps[s].a), operand(steps[s].b), to, whole);
      }
      if (whole != m) __builtin_memcpy(y + at, results[count - 1], m * sizeof(float));
    }
  }

  // y[i] = f(x[i]), a tail padded with zeros.
  template <class F>
  static void Map(const float* x, float* y, size_t n, const F& f) {
    size_t i = 0;
    for (; i + kLanes <= n; i += kLanes) StoreAt(y + i, f(LoadAt(x + i)));
    if (i == n) return;
    V v{};
    __builtin_memcpy(&v, x + i, (n - i) * sizeof(float));
    v = f(v);
    __builtin_memcpy(y + i, &v, (n - i) * sizeof(float));
  }

  // In the order of vmath.h's SumOf: that of every 16th element in a double of its own.
  struct Sum {
    typedef float Eight __attribute__((vector_size(32)));
    typedef double Doubles __attribute__((vector_size(64)));
    Doubles low = {}, high = {};

    static void AddEight(Doubles& sum, const float* eight) {
#if defined(__AVX512F__)  // g++ 12 would make eight instructions of it
      sum += _mm512_cvtps_pd(_mm256_loadu_ps(eight));
#else
      Eight v;
      __builtin_memcpy(&v, eight, sizeof(v));
      sum += __builtin_convertvector(v, Doubles);
#endif
    }
    void Add(const float* sixteen) {
      AddEight(low, sixteen);
      AddEight(high, sixteen + 8);
    }
    double Total() const {
      const Doubles s = low + high;
      return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
    }
  };

  static void Softmax(const float* x, float* y, size_t n) {
    // NaN is left to the sum
    V most = Constant<V>(-__builtin_inff());
    size_t i = 0;
    for (; i + kLanes <= n; i += kLanes) most = Larger(LoadAt(x + i), most);
    float top = LargestLane(most);
    for (; i < n; ++i) top = x[i] > top ? x[i] : top;
    Sum sum;
    const auto exponentials = [&](const float* from, float* to) {
      for (size_t k = 0; k < 16; k += kLanes) StoreAt(to + k, Exp(LoadAt(from + k) - top));
    };
    for (i = 0; i + 16 <= n; i += 16) {
      exponentials(x + i, y + i);
      sum.Add(y + i);
    }
    if (i < n) {
      float tail[16] = {};
      __builtin_memcpy(tail, x + i, (n - i) * sizeof(float));
      exponentials(tail, tail);
      __builtin_memset(tail + (n - i), 0, (16 - (n - i)) * sizeof(float));
      __builtin_memcpy(y + i, tail, (n - i) * sizeof(float));
      sum.Add(tail);
    }
    const float scale = static_cast<float>(1 / sum.Total());
    Map(y, y, n, [&](V v) { return v * scale; });
  }

  static void SiluTimes(const float* gate, const float* up, float* y, size_t n) {
    const auto f = [](V g, V u) { return g * Sigmoid(g) * u; };
    size_t i = 0;
    for (; i + kLanes <= n; i += kLanes) StoreAt(y + i, f(LoadAt(gate + i), LoadAt(up + i)));
    if (i == n) return;
    V g{}, u{};
    __builtin_memcpy(&g, gate + i, (n - i) * sizeof(float));
    __builtin_memcpy(&u, up + i, (n - i) * sizeof(float));
    g = f(g, u);
    __builtin_memcpy(y + i, &g, (n - i) * sizeof(float));
  }

  static constexpr FunctionLines kTable{Run, Softmax, SiluTimes};
};

}  // namespace mezzo::vmath
