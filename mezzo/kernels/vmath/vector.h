// Vectors of the compiler (GCC, clang) and the loops that apply a function of vectors to arrays.
//
// The function sees full vectors only: a tail is padded with zeros. So what an element becomes
// never depends on where it lies in the array, nor on how threads cut the array.
#pragma once

#include <cstddef>
#include <cstring>
#include <type_traits>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

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
inline F8 Sqrt(F8 x) {
#if defined(__AVX2__)
  return _mm256_sqrt_ps(x);
#else
  for (int i = 0; i < 8; ++i) x[i] = __builtin_sqrtf(x[i]);
  return x;
#endif
}
inline F8 Floor(F8 x) {
#if defined(__AVX2__)
  return _mm256_floor_ps(x);
#else
  for (int i = 0; i < 8; ++i) x[i] = __builtin_floorf(x[i]);
  return x;
#endif
}
inline F8 Ceil(F8 x) { return -Floor(-x); }
inline F8 RoundEven(F8 x) {
#if defined(__AVX2__)
  return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
  for (int i = 0; i < 8; ++i) x[i] = __builtin_rintf(x[i]);
  return x;
#endif
}
inline F8 Abs(F8 x) { return (F8)((I8)x & 0x7fffffff); }
// The magnitude of x with the sign of s.
inline F8 CopySign(F8 x, F8 s) {
  return (F8)(((I8)x & 0x7fffffff) | ((I8)s & static_cast<int32_t>(0x80000000)));
}
// NaN in either argument gives NaN.
inline F8 Max(F8 a, F8 b) { return ((a > b) | (a != a)) ? a : b; }
inline F8 Min(F8 a, F8 b) { return ((a < b) | (a != a)) ? a : b; }

}  // namespace mezzo::vmath
