#include "mezzo/report/machine_peak.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "mezzo/base/cpu.h"
#include "mezzo/kernels/vmath/vector.h"
#include "mezzo/report/machine_peak_loops.h"
#include "mezzo/report/measure.h"

namespace mezzo {
namespace {

// Multiply-adds a second of all threads, each working for some milliseconds.
double MacRate(const Threads& threads, void (*work)(int64_t times), int macs_per_step) {
  constexpr int64_t kMacs = 1 << 28;  // of each
  const int64_t times = kMacs / (macs_per_step * kPeakSums);
  const Stopwatch watch;
  threads.Each(threads.count(), [&](size_t, size_t) { work(times); });
  return static_cast<double>(times * macs_per_step * kPeakSums) *
         static_cast<double>(threads.count()) / watch.Seconds();
}

}  // namespace

double ReadBandwidth(const Threads& threads) {
  constexpr int64_t kBytes = int64_t{256} << 20;
  const Tensor memory = Tensor::ForWeights(DType::kFloat32, {kBytes / 4});
  const auto parts = static_cast<int64_t>(threads.count());
  std::vector<float> sums(parts);
  double best = 0;
  for (int pass = 0; pass < 8; ++pass) {
    const Stopwatch watch;
    threads.Each(parts, [&](size_t i, size_t) {
      const int64_t share = memory.numel() / parts;
      const float* from = memory.data<float>() + static_cast<int64_t>(i) * share;
      vmath::I8 sum[4] = {};
      for (int64_t k = 0; k + 32 <= share; k += 32)
        for (int l = 0; l < 4; ++l) sum[l] += (vmath::I8)vmath::Load(from + k + 8 * l);
      sums[i] += static_cast<float>((sum[0] + sum[1] + sum[2] + sum[3])[0]);
    });
    best = std::max(best, static_cast<double>(kBytes) / watch.Seconds());
  }
  Require(sums[0] == 0, "zeros summed to ", sums[0]);  // and nobody may leave the loop out
  return best;
}

MachinePeak MeasurePeak(const Threads& threads) {
  MachinePeak peak{0, 0, ReadBandwidth(threads), Caches().last};
  // In turns, so that what else the machine does for a moment does not hit one of them alone.
  for (int round = 0; round < 12; ++round) {
    for (const PeakLoop& loop : PeakLoops(CurrentIsa())) {
      double& best = loop.integers ? peak.int8_macs : peak.float_macs;
      best = std::max(best, MacRate(threads, loop.work, loop.macs));
    }
  }
  return peak;
}

double RooflineSeconds(const MachinePeak& peak, bool integer, double macs, double bytes) {
  const bool from_memory = bytes > static_cast<double>(peak.cache_bytes);
  if (macs <= 0 && !from_memory) return NAN;
  return std::max(macs / (integer ? peak.int8_macs : peak.float_macs),
                  from_memory ? bytes / peak.read_bytes : 0);
}

}  // namespace mezzo
