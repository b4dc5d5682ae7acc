// How the library fails: it throws one of two types, each with a message that names the culprit.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace mezzo {

// The caller asked for what cannot be done: a wrong shape, an unknown option. Python: ValueError.
struct UsageError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// A file is not what it claims to be. The message begins with its path. Python: mezzo.FileError.
struct FileError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class... Parts>
std::string Cat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

// Throws UsageError with the parts run together, unless `ok`.
//   Require(k % group_size == 0, "gptq: in_features ", k, " is no multiple of ", group_size);
template <class... Parts>
void Require(bool ok, const Parts&... parts) {
  if (!ok) [[unlikely]]
    throw UsageError(Cat(parts...));
}

template <class... Parts>
void RequireFile(bool ok, const Parts&... parts) {
  if (!ok) [[unlikely]]
    throw FileError(Cat(parts...));
}

}  // namespace mezzo
