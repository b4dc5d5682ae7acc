// FNV-1a of 64 bits: tells apart what is different by chance, not what is made to collide.
#pragma once

#include <cstdint>
#include <span>

namespace mezzo {

// Of bytes behind those that gave `hash`.
inline uint64_t Fnv1a(std::span<const uint8_t> bytes, uint64_t hash = 0xcbf29ce484222325) {
  for (const uint8_t b : bytes) hash = (hash ^ b) * 0x100000001b3;
  return hash;
}

}  // namespace mezzo
