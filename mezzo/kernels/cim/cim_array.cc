// Weights into cells.
#include "mezzo/base/error.h"
#include "mezzo/kernels/cim/cim_cell.h"

namespace mezzo {
namespace cim {

const std::array<float, 1 << kNormalBits>& NormalTable() {
  static const auto kTable = [] {
    constexpr size_t kSize = 1 << kNormalBits;
    std::array<double, kSize> q;
    double squares = 0;
    for (size_t i = 0; i < kSize; ++i) {
      const double share = (static_cast<double>(i) + 0.5) / kSize;
      double lo = -6, hi = 6;
      for (int step = 0; step < 50; ++step) {
        const double middle = (lo + hi) / 2;
        (std::erfc(-middle / std::sqrt(2.0)) / 2 < share ? lo : hi) = middle;
      }
      q[i] = lo;
      squares += lo * lo;
    }
    const double scale = std::sqrt(kSize / squares / 2);
    std::array<float, kSize> table;
    for (size_t i = 0; i < kSize; ++i) table[i] = static_cast<float>(q[i] * scale);
    return table;
  }();
  return kTable;
}

}  // namespace cim

void CheckCimOptions(const CimOptions& o) {
  const auto check = [](const char* name, float value, float low, float high) {
    Require(value >= low && value <= high, name, " is ", value, ", needs ", low, " to ", high);
  };
  Require(o.adc_bits >= 0 && o.adc_bits <= 16, "adc-bits is ", o.adc_bits, ", needs 0 to 16");
  Require(o.adc_full_scale > 0 && o.adc_full_scale <= 16, "adc-full-scale is ", o.adc_full_scale,
          ", needs more than 0 and at most 16");
  check("sigma", o.sigma, 0, 10);
  check("stuck-at-0", o.stuck_at_0, 0, 1);
  check("stuck-at-1", o.stuck_at_1, 0, 1);
  check("stuck-at-0 and stuck-at-1 together", o.stuck_at_0 + o.stuck_at_1, 0, 1);
  check("read-noise", o.read_noise, 0, 1e6f);
  check("drift", o.drift, 0, 1);
  check("drift-spread", o.drift_spread, 0, 10);
}

size_t CimWeights::Planes() const {
  int low = 0, high = 0;
  for (const int16_t v : values) low = std::min<int>(low, v), high = std::max<int>(high, v);
  size_t planes = 1;
  while (low < -(1 << (planes - 1)) || high > (1 << (planes - 1)) - 1) ++planes;
  return planes;
}

uint64_t CimSeed(uint64_t chip, std::string_view layer, size_t group) {
  uint64_t name = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : layer) name = (name ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return cim::Mix(cim::Mix(cim::Mix(chip) ^ name) + group);
}

CimPath FastestPath(const CimOptions& o) {
  if (!o.HasAnalog() && o.read_noise == 0) return CimPath::kBits;
  return o.adc_bits == 0 ? CimPath::kLinear : CimPath::kAnalog;
}

CimArray::CimArray(CimWeights w, const CimOptions& options, uint64_t seed,
                   std::optional<CimPath> path)
    : weights_(std::move(w)), options_(options), seed_(seed), planes_(weights_.Planes()) {
  CheckCimOptions(options_);
  Require(weights_.depth > 0 && weights_.values.size() == weights_.depth * weights_.cols,
          "cim: ", weights_.values.size(), " weights for ", weights_.depth, " x ", weights_.cols);
  path_ = path.value_or(FastestPath(options_));
  Require(path_ != CimPath::kBits || FastestPath(options_) == CimPath::kBits,
          "cim: bits alone cannot hold analog effects");
  Require((path_ == CimPath::kLinear) <= (options_.adc_bits == 0) &&
              (path_ == CimPath::kAnalog) <= (options_.adc_bits > 0),
          "cim: the path does not fit the converter");
  chunk_rows_ = options_.rows ? std::min(options_.rows, weights_.depth) : weights_.depth;
  sums_.assign(weights_.cols, 0);
  for (size_t i = 0; i < weights_.values.size(); ++i)
    sums_[i % weights_.cols] += weights_.values[i];
  if (path_ == CimPath::kBits) FillBits();
  if (path_ == CimPath::kLinear) FillLinear();
  if (path_ == CimPath::kAnalog) FillLines();
}

void CimArray::FillBits() {
  const cim::Cells cells(options_, seed_);
  const size_t cols = weights_.cols, words = chunk_words();
  bits_.assign(cols * chunks() * planes_ * words, 0);
  for (size_t k = 0; k < weights_.depth; ++k) {
    const size_t chunk = k / chunk_rows_, row = k % chunk_rows_;
    for (size_t n = 0; n < cols; ++n) {
      const size_t index = k * cols + n;
      uint64_t* to = bits_.data() + (n * chunks() + chunk) * planes_ * words + row / 64;
      for (size_t i = 0; i < planes_; ++i)
        to[i * words] |= uint64_t{cells.Bit(index, i, weights_.values[index] >> i & 1)} << row % 64;
    }
  }
}

std::vector<float> EffectiveWeights(const CimWeights& w, const CimOptions& o, uint64_t seed) {
  const cim::Cells cells(o, seed);
  const size_t planes = w.Planes();
  std::vector<float> effective(w.values.size());
  for (size_t index = 0; index < effective.size(); ++index) {
    double sum = 0;
    for (size_t i = 0; i < planes; ++i)
      sum += static_cast<double>(cim::PlaneWeight(i, planes)) *
             cells.Conductance(index, i, w.values[index] >> i & 1);
    effective[index] = static_cast<float>(sum);
  }
  return effective;
}

void CimArray::FillLinear() {
  const std::vector<float> effective = EffectiveWeights(weights_, options_, seed_);
  const auto depth = static_cast<int64_t>(weights_.depth);
  const auto cols = static_cast<int64_t>(weights_.cols);
  linear_ = PackedB(effective.data(), depth, cols, cols, 1, Threads());
}

void CimArray::FillLines() {
  const cim::Cells cells(options_, seed_);
  const size_t depth = weights_.depth;
  lines_.assign(line_blocks() * depth * 64, 0);
  for (size_t n = 0; n < weights_.cols; ++n)
    for (size_t i = 0; i < planes_; ++i) {
      const size_t line = n * planes_ + i;
      float* to = lines_.data() + line / 64 * depth * 64 + line % 64;
      for (size_t k = 0; k < depth; ++k) {
        const size_t index = k * weights_.cols + n;
        to[k * 64] = cells.Conductance(index, i, weights_.values[index] >> i & 1);
      }
    }
}

}  // namespace mezzo
