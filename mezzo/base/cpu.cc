#include "mezzo/base/cpu.h"

#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#else
#include <sys/auxv.h>
#endif

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>

#include "mezzo/base/error.h"

namespace mezzo {
namespace {

std::atomic<int> forced{-1};  // an Isa, or -1

Isa Choose() {
  const std::vector<Isa>& supported = SupportedIsas();
  const char* wanted = std::getenv("MEZZO_ISA");
  if (!wanted || !*wanted) return supported.back();
  std::string names;
  for (const Isa isa : supported) {
    if (Name(isa) == wanted) return isa;
    names += Cat(" ", Name(isa));
  }
  throw UsageError(Cat("MEZZO_ISA=", wanted, ": this machine and build have", names));
}

#if defined(__x86_64__)
// By hand, since clang 14 has no name for it. That the system keeps vector registers is part of
// what the compiler means by avx2 and avx512vnni.
bool HasAvxVnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  const auto leaf7 = [&](unsigned subleaf) {
    return __get_cpuid_count(7, subleaf, &a, &b, &c, &d);
  };
  return __builtin_cpu_supports("avx2") && leaf7(0) && a >= 1 && leaf7(1) && (a >> 4 & 1);
}

std::vector<Isa> Supported() {
  std::vector<Isa> list{Isa::kPlain};
  if (__builtin_cpu_supports("avx2")) list.push_back(Isa::kAvx2);
  if (HasAvxVnni()) list.push_back(Isa::kAvxVnni);
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni"))
    list.push_back(Isa::kAvx512Vnni);
  return list;
}
bool Vbmi() { return __builtin_cpu_supports("avx512vbmi"); }
constexpr std::string_view kNameOfAvx2 = "avx2";
#else
std::vector<Isa> Supported() {
  std::vector<Isa> list{Isa::kPlain, Isa::kAvx2};
  if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) list.push_back(Isa::kNeonDot);
  return list;
}
bool Vbmi() { return false; }
constexpr std::string_view kNameOfAvx2 = "neon";
#endif

size_t CacheSize(int name, size_t fallback) {
  const long bytes = sysconf(name);
  return bytes > 0 ? static_cast<size_t>(bytes) : fallback;
}

// Of the largest cache that the first core uses. The C library is not asked: on some processors it
// adds up the caches of all groups of cores.
size_t LastCache() {
  size_t most = 0;
  for (int i = 0; i < 8; ++i) {
    std::ifstream file(Cat("/sys/devices/system/cpu/cpu0/cache/index", i, "/size"));
    size_t size = 0;
    char unit = 0;
    if (file >> size >> unit) most = std::max(most, size << (unit == 'M' ? 20 : 10));
  }
  return most ? most : size_t{16} << 20;
}

}  // namespace

std::string_view Name(Isa isa) {
  switch (isa) {
    case Isa::kPlain:
      return "plain";
    case Isa::kAvx2:
      return kNameOfAvx2;
    case Isa::kNeonDot:
      return "neondot";
    case Isa::kAvxVnni:
      return "avxvnni";
    case Isa::kAvx512Vnni:
      return "avx512vnni";
  }
  return "unknown";
}

const std::vector<Isa>& SupportedIsas() {
  static const std::vector<Isa> supported = Supported();
  return supported;
}

Isa CurrentIsa() {
  static const Isa chosen = Choose();
  const int f = forced.load(std::memory_order_relaxed);
  return f < 0 ? chosen : static_cast<Isa>(f);
}

bool HasVbmi() { return CurrentIsa() >= Isa::kAvx512Vnni && Vbmi(); }

ScopedIsa::ScopedIsa(Isa isa) : before_(forced.exchange(static_cast<int>(isa))) {}
ScopedIsa::~ScopedIsa() { forced = before_; }

const CacheSizes& Caches() {
  static const CacheSizes sizes{CacheSize(_SC_LEVEL1_DCACHE_SIZE, 32 << 10),
                                CacheSize(_SC_LEVEL2_CACHE_SIZE, 256 << 10), LastCache()};
  return sizes;
}

}  // namespace mezzo
