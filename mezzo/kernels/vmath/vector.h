// Vectors of the compiler (GCC, clang) and the loops that apply a function of vectors to arrays.
//
// The function sees full vectors only: a tail is padded with zeros. So what an element becomes
// never depends on where it lies in the array, nor on how threads cut the array.
#pragma once

#include <cstddef>
#include <cstring>
#include <type_traits>

#include "mezzo/base/simd.h"

namespace mezzo::vmath {

template <class T>
struct VecOf {
  static constexpr size_t kLanes = 32 / sizeof(T);
  typedef T type __attribute__((vector_size(32)));
};
template <class T>
using Vec = typename VecOf<T>::type;  // 32 bytes of T
using F8 = Vec<float>;
using I8 = Vec<int32_t>;

#if defined(__AVX512F__)
typedef float F16 __attribute__((vector_size(64)));
#endif

template <class T>
Vec<T> Load(const T* x) {
  Vec<T> v;
  std::memcpy(&v, x, sizeof(v));
  return v;
}
template <class T>
void Store(T* y, Vec<T> v) {
  std::memcpy(y, &v, sizeof(v));
}
template <class T>
Vec<T> LoadPart(const T* x, size_t n) {
  Vec<T> v{};
  std::memcpy(&v, x, n * sizeof(T));
  return v;
}
template <class T>
void StorePart(T* y, Vec<T> v, size_t n) {
  std::memcpy(y, &v, n * sizeof(T));
}
template <class T>
Vec<T> Splat(T x) {
  return x - Vec<T>{};
}

// y[i] = f(x[i]); x may be y.
template <class T, class F>
void Map(const T* x, T* y, size_t n, const F& f) {
  constexpr size_t kLanes = VecOf<T>::kLanes;
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) Store<T>(y + i, f(Load(x + i)));
  if (i < n) StorePart<T>(y + i, f(LoadPart(x + i, n - i)), n - i);
}

// y[i] = f(a[i], b[i]); y may be a or b.
template <class T, class F>
void Map2(const T* a, const T* b, T* y, size_t n, const F& f) {
  constexpr size_t kLanes = VecOf<T>::kLanes;
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) Store<T>(y + i, f(Load(a + i), Load(b + i)));
  if (i < n) StorePart<T>(y + i, f(LoadPart(a + i, n - i), LoadPart(b + i, n - i)), n - i);
}

// Lane by lane.
inline F8 Sqrt(F8 x) { return _mm256_sqrt_ps(x); }
inline F8 Floor(F8 x) { return _mm256_floor_ps(x); }
inline F8 Ceil(F8 x) { return -Floor(-x); }
inline F8 RoundEven(F8 x) {
  return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// What follows is for vectors of any length; bits of V as integers.
template <class V>
using IntegersOf = decltype(V{} < V{});
template <class V>
V Constant(float x) {
  return x - V{};
}
// a * b + c, rounded once.
inline F8 Fma(F8 a, F8 b, F8 c) { return _mm256_fmadd_ps(a, b, c); }
#if defined(__AVX512F__)
inline F16 Fma(F16 a, F16 b, F16 c) { return _mm512_fmadd_ps(a, b, c); }
#endif
template <class V>
V Abs(V x) {
  return (V)((IntegersOf<V>)x & 0x7fffffff);
}
// The magnitude of x with the sign of s.
template <class V>
V CopySign(V x, V s) {
  using I = IntegersOf<V>;
  return (V)(((I)x & 0x7fffffff) | ((I)s & static_cast<int32_t>(0x80000000)));
}
// NaN in either argument gives NaN.
template <class V>
V Max(V a, V b) {
  return ((a > b) | (a != a)) ? a : b;
}
template <class V>
V Min(V a, V b) {
  return ((a < b) | (a != a)) ? a : b;
}

// x, or the end of [lo, hi] that it is beyond; NaN, as the second operand, stays.
inline F8 Clamp(F8 x, float lo, float hi) {
  return _mm256_min_ps(_mm256_set1_ps(hi), _mm256_max_ps(_mm256_set1_ps(lo), x));
}
// The nearest integer, ties to even, of |x| below 2^22; of which sign 0 is, is not said.
template <class V>
V Whole(V x) {
  constexpr float kToInteger = 0x1.8p23f;  // adding it rounds
  return (x + kToInteger) - kToInteger;
}
// x 2^n, rounded once, for n = Whole() from -150 to 128 and x from 0.5 to 2; NaN for NaN.
template <class V>
V Scaled(V x, V n) {
  using I = IntegersOf<V>;
  // NaN must not reach the conversion to integers
  const I e = __builtin_convertvector(n == n ? n : V{}, I);
  // in two factors, of which the first rounds nothing
  const I half = e >> 1;
  return x * (V)((half + 127) << 23) * (V)((e - half + 127) << 23);
}
#if defined(__AVX512F__)
inline F16 Clamp(F16 x, float lo, float hi) {
  return _mm512_min_ps(_mm512_set1_ps(hi), _mm512_max_ps(_mm512_set1_ps(lo), x));
}
inline F16 Whole(F16 x) {
  return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline F16 Scaled(F16 x, F16 n) { return _mm512_scalef_ps(x, n); }
#endif

// As many floats as a vector of V's size has doubles. g++ 12 makes many instructions of a
// conversion of its own vectors.
typedef double D4 __attribute__((vector_size(32)));
inline D4 DoublesAt(const float* x, F8) { return _mm256_cvtps_pd(_mm_loadu_ps(x)); }
#if defined(__AVX512F__)
typedef double D8 __attribute__((vector_size(64)));
inline D8 DoublesAt(const float* x, F16) { return _mm512_cvtps_pd(_mm256_loadu_ps(x)); }
#endif

// Whether a bit is set.
inline bool AnyBit(IntegersOf<F8> x) { return !_mm256_testz_si256((__m256i)x, (__m256i)x); }
#if defined(__AVX512F__)
inline bool AnyBit(IntegersOf<F16> x) {
  return _mm512_test_epi32_mask((__m512i)x, (__m512i)x) != 0;
}
#endif

// The larger, and the largest lane; b or anything if there is a NaN.
inline F8 Larger(F8 a, F8 b) { return _mm256_max_ps(a, b); }
inline float LargestLane(F8 x) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_max_ps(m, _mm_movehdup_ps(m))[0];
}
#if defined(__AVX512F__)
inline F16 Larger(F16 a, F16 b) { return _mm512_max_ps(a, b); }
inline float LargestLane(F16 x) { return _mm512_reduce_max_ps(x); }
#endif

}  // namespace mezzo::vmath
