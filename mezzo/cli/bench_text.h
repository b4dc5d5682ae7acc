// mezzo bench of a language model.
#pragma once

#include <cstdint>
#include <string>

namespace mezzo {

struct BenchTextOptions {
  std::string model, kv;
  int64_t prompt, tokens, depth;  // read at once; made one by one; of the prompt, before these
  int runs;
  size_t threads;
};

// Prints tokens a second of both, and what share of this machine's memory bandwidth, measured here,
// the second takes.
void BenchText(const BenchTextOptions& o, bool json);

}  // namespace mezzo
