// What this processor can execute, and how large its caches are.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <string_view>
#include <type_traits>
#include <vector>

namespace mezzo {

// Instruction sets for which integer kernels have lines of their own, slowest first. kPlain runs
// the plain twins; Mezzo as a whole is compiled for kAvx2, which on AArch64 is NEON (base/simd.h)
// and named so; kNeonDot has Arm's sdot. A kernel without lines for a set uses those of the last
// one before it.
enum class Isa { kPlain, kAvx2, kNeonDot, kAvxVnni, kAvx512Vnni };

// Lines of the sets that only one of the two architectures has. In builds for the other their
// files are left out (CMakeLists.txt); no such set is ever in use there, so the place is never
// reached.
template <class Pointer>
[[noreturn]] std::remove_pointer_t<Pointer>& LeftOut() {
  std::abort();
}
#if defined(__x86_64__)
#define MEZZO_X86(lines) (lines)
#define MEZZO_NEON(lines) ::mezzo::LeftOut<decltype(&(lines))>()
#else
#define MEZZO_X86(lines) ::mezzo::LeftOut<decltype(&(lines))>()
#define MEZZO_NEON(lines) (lines)
#endif

std::string_view Name(Isa isa);

// Those this processor executes, in order; never empty.
const std::vector<Isa>& SupportedIsas();

// The one in use: the last supported one, or what the environment variable MEZZO_ISA (plain, avx2,
// avxvnni, avx512vnni; on AArch64 plain, neon, neondot) forces. Throws UsageError if that names
// none or one that the processor lacks.
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
