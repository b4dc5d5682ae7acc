// Whole numbers of something, and memory at cache-line boundaries, for what vector instructions
// read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

namespace mezzo {

inline size_t DivideUp(size_t n, size_t by) { return (n + by - 1) / by; }
inline size_t RoundUp(size_t n, size_t unit) { return DivideUp(n, unit) * unit; }

// n zeros, and a further 64 bytes that may be read.
template <class T>
std::shared_ptr<T> AlignedZeros(size_t n) {
  constexpr std::align_val_t kAlign{64};
  void* p = ::operator new(n * sizeof(T) + 64, kAlign);
  std::memset(p, 0, n * sizeof(T) + 64);
  return {static_cast<T*>(p), [](T* q) { ::operator delete (q, std::align_val_t{64}); }};
}

// n elements of whatever value inside `buffer`, which grows if it must.
template <class T>
T* AlignedScratch(std::vector<T>& buffer, size_t n) {
  if (buffer.size() < n + 64 / sizeof(T)) buffer.resize(n + 64 / sizeof(T));
  return reinterpret_cast<T*>(RoundUp(reinterpret_cast<uintptr_t>(buffer.data()), 64));
}

}  // namespace mezzo
