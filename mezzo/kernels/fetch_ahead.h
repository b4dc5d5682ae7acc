#pragma once

#include <cstdint>

namespace mezzo {

// How far ahead weights are fetched that are read once, in bytes: the hardware's own prefetching
// does not run far enough ahead of the arithmetic of products.
inline constexpr int64_t kFetchAhead = 8192;

}  // namespace mezzo
