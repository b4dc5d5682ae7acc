// A fuzz target in one line, beside the reader it is for, in a file NAME_fuzz.cc:
//
//   MEZZO_FUZZ_TARGET(npy, bytes) { ReadSomething(bytes); }
//
// The body gets any bytes and may throw FileError or UsageError; anything else is a finding. With
// MEZZO_FUZZ it becomes the libFuzzer executable NAME_fuzz; otherwise the tests replay
// tests/corpus/NAME/* through it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "mezzo/base/error.h"

namespace mezzo {

using FuzzBody = void (*)(std::span<const uint8_t> bytes);

inline std::map<std::string, FuzzBody>& FuzzTargets() {
  static std::map<std::string, FuzzBody> targets;
  return targets;
}

// True if the bytes were accepted, false if they were refused as they should be.
inline bool RunFuzzBody(FuzzBody body, std::span<const uint8_t> bytes) {
  try {
    body(bytes);
    return true;
  } catch (const FileError&) {
  } catch (const UsageError&) {
  }
  return false;
}

}  // namespace mezzo

#ifdef MEZZO_FUZZ_MAIN
#define MEZZO_FUZZ_REGISTER(name)                                        \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n) { \
    mezzo::RunFuzzBody(Fuzz_##name, {data, n});                          \
    return 0;                                                            \
  }
#else
#define MEZZO_FUZZ_REGISTER(name) \
  static const bool kRegistered_##name = (mezzo::FuzzTargets()[#name] = Fuzz_##name, true);
#endif

#define MEZZO_FUZZ_TARGET(name, bytes)                     \
  static void Fuzz_##name(std::span<const uint8_t> bytes); \
  MEZZO_FUZZ_REGISTER(name)                                \
  static void Fuzz_##name(std::span<const uint8_t> bytes)
