// Zeroed memory at cache-line boundaries, for what vector instructions read.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>

namespace mezzo {

// n elements, and a further 64 bytes that may be read.
template <class T>
std::shared_ptr<T> AlignedZeros(size_t n) {
  constexpr std::align_val_t kAlign{64};
  void* p = ::operator new(n * sizeof(T) + 64, kAlign);
  std::memset(p, 0, n * sizeof(T) + 64);
  return {static_cast<T*>(p), [](T* q) { ::operator delete (q, std::align_val_t{64}); }};
}

}  // namespace mezzo
