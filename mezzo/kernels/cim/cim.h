// What an array of memory cells that computes by currents makes of an integer product, bit plane by
// bit plane:
//
//   exact      acc[m,n] = sum_k (x[m,k] - x_zero) * w[k,n]
//   planes     w = sum_i s_i 2^i w_i, x = sum_j t_j 2^j x_j     bits of two's complement: s, t are
//                                                               -1 for the sign's plane, else 1
//   cell       g_i[k,n] = b * max(0, 1 + sigma * e1) * max(0, 1 - drift - drift_spread * e2)
//              b = w_i[k,n], or what the cell is stuck at; e1, e2 standard normal, fixed by the
//              chip
//   line       r = sum over the rows k of chunk c of x_j[m,k] * g_i[k,n]     single precision
//   converter  q = clamp(round_half_even((r + read_noise * e3) / step), 0, 2^adc_bits - 1)
//              step = adc_full_scale * (rows of a full chunk) / (2^adc_bits - 1)
//   result     acc = round(step * sum_cij s_i t_j 2^(i+j) q) - x_zero * sum_k w[k,n]   modulo 2^32
//
// An ideal converter (adc_bits 0) gives q = r and step = 1; the read noise of all its conversions
// then adds up to one normal number of the summed variance. The zero point's part is digital and
// exact. Nothing depends on how rows are cut among calls or threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "mezzo/kernels/qgemm/qgemm.h"
#include "mezzo/kernels/sgemm/sgemm.h"

namespace mezzo {

struct CimOptions {
  size_t rows = 0;           // summed by one conversion; 0: all of K. A layer with fewer uses those
  int adc_bits = 0;          // 0: ideal
  float adc_full_scale = 1;  // the largest value, as a fraction of the rows in use
  float sigma = 0;           // of a cell's conductance, relative
  float stuck_at_0 = 0, stuck_at_1 = 0;  // shares of the cells
  float read_noise = 0;                  // of a conversion, in units of one cell
  float drift = 0, drift_spread = 0;     // conductance lost: mean and deviation
  uint64_t chip = 0;                     // which chip: the same one has the same cells

  bool HasAnalog() const { return sigma > 0 || drift > 0 || drift_spread > 0; }
};

// Throws UsageError naming the field that is out of range.
void CheckCimOptions(const CimOptions& o);

// w (depth, cols), row-major, each in [-255, 255].
struct CimWeights {
  size_t depth = 0, cols = 0;
  std::vector<int16_t> values;
  // The fewest bits of two's complement that hold them all; at least 1.
  size_t Planes() const;
};

// What linear cells multiply by, ideal converters behind them: (depth, cols), in steps of a weight.
std::vector<float> EffectiveWeights(const CimWeights& w, const CimOptions& o, uint64_t seed);

// One layer's cells: the seed that fixes them.
uint64_t CimSeed(uint64_t chip, std::string_view layer, size_t group = 0);

// How a product is computed. All agree with CimGemmRef: kBits and kAnalog bit for bit, kLinear but
// for the rounding of a float product.
enum class CimPath : uint8_t {
  kBits,    // packed words and popcounts: no analog effect but a converter's and stuck cells
  kLinear,  // one float product with the cells' sum as weight: an ideal converter
  kAnalog,  // every conversion by itself
};
CimPath FastestPath(const CimOptions& o);

// Weights written into cells.
class CimArray {
 public:
  // Throws UsageError on options out of range, or a path that cannot compute them.
  CimArray(CimWeights w, const CimOptions& options, uint64_t seed,
           std::optional<CimPath> path = std::nullopt);

  CimPath path() const { return path_; }
  const CimWeights& weights() const { return weights_; }
  const CimOptions& options() const { return options_; }
  uint64_t seed() const { return seed_; }
  size_t planes() const { return planes_; }
  const std::vector<int64_t>& sums() const { return sums_; }  // of each column's weights

  // Rows of a full chunk, and how many chunks there are.
  size_t chunk_rows() const { return chunk_rows_; }
  size_t chunks() const { return (weights_.depth + chunk_rows_ - 1) / chunk_rows_; }
  size_t chunk_words() const { return (chunk_rows_ + 63) / 64; }

  // kBits: planes() times chunk_words() words of a column's chunk.
  const uint64_t* Bits(size_t n, size_t chunk) const {
    return bits_.data() + (n * chunks() + chunk) * planes_ * chunk_words();
  }
  // kLinear
  const PackedB& linear() const { return linear_; }
  // kAnalog: the conductances of lines 64b..64b+63 at row k. Line n * planes() + i is plane i of
  // column n.
  const float* Lines(size_t block, size_t k) const {
    return lines_.data() + (block * weights_.depth + k) * 64;
  }
  size_t line_blocks() const { return (weights_.cols * planes_ + 63) / 64; }

 private:
  void FillBits();
  void FillLinear();
  void FillLines();

  CimWeights weights_;
  CimOptions options_;
  uint64_t seed_ = 0;
  CimPath path_ = CimPath::kBits;
  size_t planes_ = 1, chunk_rows_ = 1;
  std::vector<int64_t> sums_;
  std::vector<uint64_t> bits_;
  PackedB linear_;
  std::vector<float> lines_;
};

struct CimArgs {
  QCodes x;  // (rows, depth), rows `x_stride` codes apart
  size_t rows = 0, x_stride = 0;
  int32_t x_zero = 0;
  uint64_t noise_seed = 0;  // of the read noise, with the number of the row:
  size_t first_row = 0;     // that of row 0 here
};

// acc (rows, cols)
void CimGemm(const CimArgs& args, const CimArray& array, int32_t* acc);
// A few loops that say what the formula above means.
void CimGemmRef(const CimArgs& args, const CimWeights& w, const CimOptions& o, uint64_t seed,
                int32_t* acc);

}  // namespace mezzo
