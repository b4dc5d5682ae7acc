// A histogram of real values in constant memory, whose counts do not depend on the order of the
// values.
//
// The range is [-2^k, 2^k] for the smallest k that holds every value seen; when a value falls
// outside, k grows and neighbouring bins merge. Bin edges of a smaller range are edges of the
// larger one's bins cut in two, so the counts are those of a histogram that had the final range
// from the start.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace mezzo {

class Histogram {
 public:
  static constexpr int kBinsPerSide = 2048;

  // NaN and infinities are counted apart and touch nothing else.
  void Add(std::span<const float> values);
  void Merge(const Histogram& other);

  uint64_t count() const { return count_; }  // finite values
  uint64_t zeros() const { return zeros_; }  // exact ones; they lie in no bin
  uint64_t nans() const { return nans_; }    // NaN or infinite
  float min() const { return min_; }         // of the finite values; 0 if there are none
  float max() const { return max_; }
  float amax() const;

  double bin_width() const;
  // bins()[i] counts values in ((i - kBinsPerSide) * bin_width(), + bin_width()), the edge nearer
  // to zero excluded, the other included. Empty if no value was non-zero.
  std::span<const uint64_t> bins() const { return bins_; }
  // The histogram of |x|: bin i is (i * w, (i + 1) * w].
  std::vector<uint64_t> AbsBins() const;

  static constexpr size_t MemoryBytes() { return sizeof(uint64_t) * 2 * kBinsPerSide; }

 private:
  void Grow(int exponent);

  std::vector<uint64_t> bins_;
  int exponent_ = 0;  // the range is 2^exponent_, once bins_ is not empty
  uint64_t count_ = 0, zeros_ = 0, nans_ = 0;
  float min_ = 0, max_ = 0;
};

}  // namespace mezzo
