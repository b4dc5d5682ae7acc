// The loops of functions.h for vectors V of floats. Instantiated with V = F16 only in a file that
// is compiled for AVX-512.
#pragma once

#include "mezzo/kernels/vmath/functions.h"
#include "mezzo/kernels/vmath/vmath.h"

// Nothing here that returns vectors is called from other files.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace mezzo::vmath {

template <class V>
struct Lines {
  static constexpr size_t kLanes = sizeof(V) / sizeof(float), kBlock = 512;

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

  // v / c, rounded as division rounds: the product with 1 / c is corrected by its exact remainder
  // (Markstein 1990), where neither can leave the range of normal numbers.
  class Divider {
   public:
    explicit Divider(float c) : divisor_(Constant<V>(c)), factor_(Constant<V>(1 / c)) {
      const float size = c < 0 ? -c : c;
      int32_t bits;
      __builtin_memcpy(&bits, &c, sizeof(bits));
      exact_ = size > 0x1p-20f && size < 0x1p20f && (bits & 0x7fffff) != 0x7fffff;
    }
    [[gnu::always_inline]] V operator()(V v) const {
      typedef uint32_t Naturals __attribute__((vector_size(sizeof(V))));
      constexpr uint32_t kLeast = 0x0d800000, kMost = 0x71800000;  // 2^-100 and 2^100
      const Naturals size = (Naturals)Abs(v);
      // 0 for zeros, whose quotients the correction leaves alone but for their sign
      const Naturals odd = (size - kLeast > kMost - kLeast) & size;
      const V product = v * factor_;
      const V corrected = Fma(Fma(-product, divisor_, v), factor_, product);
      const Naturals sign = (Naturals)product & 0x80000000u;
      return exact_ && !AnyBit((IntegersOf<V>)odd) ? (V)((Naturals)corrected | sign) : v / divisor_;
    }

   private:
    V divisor_, factor_;
    bool exact_;
  };

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
        if (!b) return Apply(a, y, n, Divider(s.constant));
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
      case Kind::kMax:
        return Apply2(a, b, s.constant, y, n, [](V u, V v) { return u < v ? v : u; });
      case Kind::kMin:
        return Apply2(a, b, s.constant, y, n, [](V u, V v) { return u > v ? v : u; });
    }
  }

  // x * (erf(x / c) + d) * e, as exporters write GELU, and steps behind it that need nothing else.
  static bool BeginsWithGelu(std::span<const Step> s) {
    using Kind = Step::Kind;
    constexpr uint8_t kC = Step::kConstant;
    constexpr size_t kSteps = 5;
    const auto is = [&](size_t i, Kind kind, uint8_t a, uint8_t b) {
      const bool swapped = kind != Kind::kDiv && s[i].a == b && s[i].b == a;
      return s[i].kind == kind && ((s[i].a == a && s[i].b == b) || swapped);
    };
    if (s.size() < kSteps || !is(0, Kind::kDiv, 0, kC) || s[1].kind != Kind::kErf || s[1].a != 1 ||
        !is(2, Kind::kAdd, 2, kC) || !is(3, Kind::kMul, 0, 3) || !is(4, Kind::kMul, 4, kC))
      return false;
    const auto inside = [](uint8_t i) { return 0 < i && i < kSteps; };
    for (const Step& later : s.subspan(kSteps))
      if (inside(later.a) || inside(later.b)) return false;
    return true;
  }
  // The same steps, all in registers.
  static void Gelu(std::span<const Step> steps, const float* x, float* y, size_t n) {
    const Divider divided(steps[0].constant);
    const V d = Constant<V>(steps[2].constant), e = Constant<V>(steps[4].constant);
    Apply(x, y, n, [&](V v) { return v * (Erf(divided(v)) + d) * e; });
  }

  // Blocks whose results of all steps stay in the first-level cache; a tail is padded with zeros.
  static void Run(std::span<const Step> steps, std::span<const float* const> inputs, float* y,
                  size_t n) {
    const size_t gelu = BeginsWithGelu(steps) ? 5 : 0;
    alignas(64) float results[kMaxSteps][kBlock], tails[kMaxInputs][kBlock];
    const float* from[kMaxInputs];
    for (size_t at = 0; at < n; at += kBlock) {
      const size_t m = n - at < kBlock ? n - at : kBlock;
      const size_t whole = (m + kLanes - 1) / kLanes * kLanes;
      for (size_t i = 0; i < inputs.size(); ++i) {
        from[i] = inputs[i] + at;
        if (whole == m) continue;
        __builtin_memset(tails[i], 0, whole * sizeof(float));
        __builtin_memcpy(tails[i], from[i], m * sizeof(float));
        from[i] = tails[i];
      }
      const auto operand = [&](uint8_t i) -> const float* {
        if (i == Step::kConstant) return nullptr;
        return i == 0 ? from[0] : i >= Step::kInput ? from[i - Step::kInput] : results[i - 1];
      };
      const auto place = [&](size_t s) {
        return s + 1 == steps.size() && whole == m ? y + at : results[s];
      };
      if (gelu) Gelu(steps, from[0], place(gelu - 1), whole);
      for (size_t s = gelu; s < steps.size(); ++s)
        RunStep(steps[s], operand(steps[s].a), operand(steps[s].b), place(s), whole);
      if (whole != m) __builtin_memcpy(y + at, results[steps.size() - 1], m * sizeof(float));
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
    using Doubles = decltype(DoublesAt(nullptr, V{}));
    static constexpr size_t kWide = sizeof(V) / sizeof(double), kParts = 16 / kWide;
    Doubles parts[kParts] = {};

    template <class F>
    void Add(const float* sixteen, const F& f) {
#pragma GCC unroll 4
      for (size_t i = 0; i < kParts; ++i) parts[i] += f(DoublesAt(sixteen + i * kWide, V{}));
    }
    void Add(const float* sixteen) {
      Add(sixteen, [](Doubles v) { return v; });
    }
    // Zeros behind the last element, if f is 0 there.
    template <class F>
    void AddAll(const float* x, size_t n, const F& f) {
      size_t i = 0;
      for (; i + 16 <= n; i += 16) Add(x + i, f);
      if (i == n) return;
      float tail[16] = {};
      __builtin_memcpy(tail, x + i, (n - i) * sizeof(float));
      Add(tail, f);
    }
    double Total() const {
      double all[16], s[8];
      __builtin_memcpy(all, parts, sizeof(all));
      for (size_t i = 0; i < 8; ++i) s[i] = all[i] + all[i + 8];
      return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
    }
  };

  static Moments MomentsOf(const float* x, size_t n) {
    using Doubles = typename Sum::Doubles;
    Sum sum, squares;
    sum.AddAll(x, n, [](Doubles v) { return v; });
    const double mean = sum.Total() / static_cast<double>(n);
    // zeros behind the last element would count, so it is done apart
    const size_t whole = n / 16 * 16;
    squares.AddAll(x, whole, [&](Doubles v) { return (v - mean) * (v - mean); });
    double total = squares.Total();
    for (size_t i = whole; i < n; ++i) total += (x[i] - mean) * (x[i] - mean);
    return {mean, total / static_cast<double>(n)};
  }

  static double SquaresOf(const float* x, size_t n) {
    Sum sum;
    sum.AddAll(x, n, [](typename Sum::Doubles v) { return v * v; });
    return sum.Total();
  }

  static void Normalize(const float* x, float center, float factor, const float* scale,
                        const float* bias, float* y, size_t n) {
    const auto f = [&](const float* v, const float* s, const float* b) {
      V normal = (LoadAt(v) - center) * factor;
      if (s) normal = normal * LoadAt(s);
      return b ? normal + LoadAt(b) : normal;
    };
    size_t i = 0;
    for (; i + kLanes <= n; i += kLanes)
      StoreAt(y + i, f(x + i, scale ? scale + i : nullptr, bias ? bias + i : nullptr));
    if (i == n) return;
    float tails[3][kLanes] = {};
    const auto tail = [&](float* to, const float* from) -> const float* {
      if (from) __builtin_memcpy(to, from + i, (n - i) * sizeof(float));
      return from ? to : nullptr;
    };
    const V v = f(tail(tails[0], x), tail(tails[1], scale), tail(tails[2], bias));
    __builtin_memcpy(y + i, &v, (n - i) * sizeof(float));
  }

  // The larger one; NaN is left to the sum.
  static float LargestOf(V most, const float* rest, size_t n) {
    float top = LargestLane(most);
    for (size_t i = 0; i < n; ++i) top = rest[i] > top ? rest[i] : top;
    return top;
  }
  static float LargestOf(const float* x, size_t n) {
    V most = Constant<V>(-__builtin_inff());
    size_t i = 0;
    for (; i + kLanes <= n; i += kLanes) most = Larger(LoadAt(x + i), most);
    return LargestOf(most, x + i, n - i);
  }

  // y[i] = f(x[i]) + mask[i], if there is a mask; returns the largest.
  template <class F>
  static float Scores(const float* x, const float* mask, float* y, size_t n, const F& f) {
    const auto at = [&](const float* from, const float* add) {
      const V v = f(LoadAt(from));
      return add ? v + LoadAt(add) : v;
    };
    V most = Constant<V>(-__builtin_inff());
    size_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      const V v = at(x + i, mask ? mask + i : nullptr);
      StoreAt(y + i, v);
      most = Larger(v, most);
    }
    if (i < n) {
      float tails[2][kLanes] = {};
      __builtin_memcpy(tails[0], x + i, (n - i) * sizeof(float));
      if (mask) __builtin_memcpy(tails[1], mask + i, (n - i) * sizeof(float));
      const V v = at(tails[0], tails[1]);
      __builtin_memcpy(y + i, &v, (n - i) * sizeof(float));
    }
    return LargestOf(most, y + i, n - i);
  }
  static float Scores(const float* x, const Step* scaling, const float* mask, float* y, size_t n) {
    if (!scaling) return Scores(x, mask, y, n, [](V v) { return v; });
    if (scaling->kind == Step::Kind::kDiv) return Scores(x, mask, y, n, Divider(scaling->constant));
    const V c = Constant<V>(scaling->constant);
    return Scores(x, mask, y, n, [&](V v) { return v * c; });
  }

  // y = e^(x - top); returns its sum.
  static double Exponentials(const float* x, float top, float* y, size_t n) {
    Sum sum;
    const auto sixteen = [&](const float* from, float* to) {
      for (size_t k = 0; k < 16; k += kLanes) StoreAt(to + k, Exp(LoadAt(from + k) - top));
    };
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
      sixteen(x + i, y + i);
      sum.Add(y + i);
    }
    if (i < n) {
      float tail[16] = {};
      __builtin_memcpy(tail, x + i, (n - i) * sizeof(float));
      sixteen(tail, tail);
      __builtin_memset(tail + (n - i), 0, (16 - (n - i)) * sizeof(float));
      __builtin_memcpy(y + i, tail, (n - i) * sizeof(float));
      sum.Add(tail);
    }
    return sum.Total();
  }

  // A few rows at a time, each step for all of them: what one row waits for, the next does not.
  static void Softmax(const float* x, float* y, size_t rows, size_t n, const ScoreSteps& before) {
    constexpr size_t kRows = 8;
    const bool plain = !before.scaling && !before.masks;
    for (size_t first = 0; first < rows; first += kRows) {
      const size_t count = rows - first < kRows ? rows - first : kRows;
      const float* from = x + first * n;
      float* to = y + first * n;
      float top[kRows], scale[kRows];
      for (size_t r = 0; r < count; ++r)
        top[r] = plain ? LargestOf(from + r * n, n)
                       : Scores(from + r * n, before.scaling,
                                before.masks ? before.masks[first + r] : nullptr, to + r * n, n);
      if (!plain) from = to;
      for (size_t r = 0; r < count; ++r)
        scale[r] = static_cast<float>(1 / Exponentials(from + r * n, top[r], to + r * n, n));
      for (size_t r = 0; r < count; ++r)
        Map(to + r * n, to + r * n, n, [&](V v) { return v * scale[r]; });
    }
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

  static constexpr FunctionLines kTable{Run, Softmax, SiluTimes, MomentsOf, SquaresOf, Normalize};
};

}  // namespace mezzo::vmath
