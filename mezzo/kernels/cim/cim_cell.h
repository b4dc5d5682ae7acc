// What the simulation's plain twin and its fast forms share: random numbers by counter, a cell, the
// converter. SplitMix64: Steele, Lea, Flood 2014, https://doi.org/10.1145/2660193.2660195.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "mezzo/kernels/cim/cim.h"

namespace mezzo::cim {

inline uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// Quantiles of a normal number of variance 1/2, at the middles of 4096 equal shares.
inline constexpr size_t kNormalBits = 12;
const std::array<float, 1 << kNormalBits>& NormalTable();

// A standard normal number from 24 of 32 random bits: the sum of two quantiles, so that the tails
// reach 4.9 deviations.
inline float Normal(const float* table, uint32_t bits) {
  return table[bits >> 20] + table[(bits >> 8) & 0xfff];
}

// The noise of a row's conversions: random bits by the conversion's number. Two rounds of
// multiplication with the row's key between them.
struct NoiseKey {
  uint32_t a, b;
  NoiseKey(uint64_t seed, size_t row) {
    const uint64_t key = Mix(seed + row);
    a = static_cast<uint32_t>(key);
    b = static_cast<uint32_t>(key >> 32);
  }
  uint32_t Bits(uint32_t counter) const {
    uint32_t x = counter + a;
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x = ((x ^ (x >> 15)) + b) * 0x846ca68bu;
    return x ^ (x >> 16);
  }
};

// Sign and weight of bit plane p of `planes`.
inline int64_t PlaneWeight(size_t p, size_t planes, bool is_signed = true) {
  const int64_t weight = int64_t{1} << p;
  return is_signed && p + 1 == planes ? -weight : weight;
}

// The cells of an array, each drawn from its own counter.
class Cells {
 public:
  Cells(const CimOptions& o, uint64_t seed)
      : o_(o),
        table_(NormalTable().data()),
        mismatch_(Mix(seed)),
        drift_(Mix(seed + 1)),
        stuck_(Mix(seed + 2)) {}

  // The bit that the cell of plane i holds where weight `index` asks for `bit`.
  bool Bit(size_t index, size_t i, bool bit) const {
    if (o_.stuck_at_0 == 0 && o_.stuck_at_1 == 0) return bit;
    const double u = static_cast<double>(Draw(stuck_, index, i) >> 11) * 0x1p-53;
    if (u < o_.stuck_at_0) return false;
    return u < static_cast<double>(o_.stuck_at_0) + o_.stuck_at_1 || bit;
  }
  float Conductance(size_t index, size_t i, bool bit) const {
    if (!Bit(index, i, bit)) return 0;
    float g = 1;
    if (o_.sigma > 0) g *= std::max(0.0f, 1 + o_.sigma * NormalOf(mismatch_, index, i));
    if (o_.drift > 0 || o_.drift_spread > 0)
      g *= std::max(0.0f, 1 - o_.drift - o_.drift_spread * NormalOf(drift_, index, i));
    return g;
  }

 private:
  static uint64_t Draw(uint64_t key, size_t index, size_t i) { return Mix(key ^ (index * 16 + i)); }
  float NormalOf(uint64_t key, size_t index, size_t i) const {
    return Normal(table_, static_cast<uint32_t>(Draw(key, index, i) >> 32));
  }

  const CimOptions& o_;
  const float* table_;
  uint64_t mismatch_, drift_, stuck_;
};

// What a conversion makes of a line's sum. `step` is 1 and unused where the converter is ideal.
struct Converter {
  float step = 1, top = 0;
  Converter(const CimOptions& o, size_t chunk_rows) {
    if (o.adc_bits == 0) return;
    top = static_cast<float>((1 << o.adc_bits) - 1);
    step = o.adc_full_scale * static_cast<float>(chunk_rows) / top;
  }
  float Code(float sum) const { return std::clamp(std::nearbyint(sum / step), 0.0f, top); }
};

// Deviation of an output's read noise where the converter is ideal: of chunks * planes * 8
// conversions with the weights of their planes.
inline double SummedNoise(const CimOptions& o, size_t chunks, size_t planes) {
  const auto squares = [](size_t bits) {
    return (std::pow(4.0, static_cast<double>(bits)) - 1) / 3;
  };
  return o.read_noise * std::sqrt(static_cast<double>(chunks) * squares(planes) * squares(8));
}

// The sum of conversions, in real units, less the zero point's exact part.
inline int32_t Finish(double sum, int32_t x_zero, int64_t w_sum) {
  return static_cast<int32_t>(
      static_cast<uint32_t>(static_cast<int64_t>(std::nearbyint(sum)) - x_zero * w_sum));
}

}  // namespace mezzo::cim
