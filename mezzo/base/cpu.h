// What this processor can execute, and how large its caches are.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace mezzo {

// Instruction sets for which integer kernels have lines of their own, slowest first. kPlain runs
// the plain twins; Mezzo as a whole is compiled for kAvx2. A kernel without lines for a set uses
// those of the last one before it.
enum class Isa { kPlain, kAvx2, kAvxVnni, kAvx512Vnni };

std::string_view Name(Isa isa);

// Those this processor executes, in order; never empty.
const std::vector<Isa>& SupportedIsas();

// The one in use: the last supported one, or what the environment variable MEZZO_ISA (plain, avx2,
// avxvnni, avx512vnni) forces. Throws UsageError if that names none or one that the processor
// lacks.
Isa CurrentIsa();

// Whether AVX-512's permutations of bytes (VBMI) may be used: not all processors of kAvx512Vnni
// have them.
bool HasVbmi();

// Replaces the one in use until the object ends. For tests; not while kernels run.
class ScopedIsa {
 public:
  explicit ScopedIsa(Isa isa);
  ~ScopedIsa();
  ScopedIsa(const ScopedIsa&) = delete;
  ScopedIsa& operator=(const ScopedIsa&) = delete;

 private:
  int before_;
};

// Bytes of data cache that one core has to itself (l1, l2) and of the last level, which cores may
// share. Read once; 32 KiB, 256 KiB and 16 MiB where the system does not say.
struct CacheSizes {
  size_t l1, l2, last;
};
const CacheSizes& Caches();

}  // namespace mezzo
