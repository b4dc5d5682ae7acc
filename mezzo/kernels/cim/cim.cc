// The bit and linear paths, and the choice among all three.
#include "mezzo/kernels/cim/cim.h"

#include <bit>
#include <cstring>

#include "mezzo/base/cpu.h"
#include "mezzo/kernels/cim/cim_analog.h"
#include "mezzo/kernels/cim/cim_cell.h"

namespace mezzo {
namespace cim {
namespace {

// The lowest bit of each of eight bytes, byte 0's first.
uint8_t LowBits(uint64_t bytes) {
  return static_cast<uint8_t>((bytes & 0x0101010101010101) * 0x0102040810204080 >> 56);
}

}  // namespace

void PackRow(const uint8_t* codes, const CimArray& array, uint64_t* words) {
  const size_t rows = array.chunk_rows(), width = array.chunk_words();
  for (size_t begin = 0; begin < array.weights().depth; begin += rows, words += 8 * width) {
    std::fill_n(words, 8 * width, 0);
    const size_t n = std::min(rows, array.weights().depth - begin);
    for (size_t k = 0; k < n; k += 8) {
      uint64_t eight = 0;
      std::memcpy(&eight, codes + begin + k, std::min<size_t>(8, n - k));
      for (size_t j = 0; j < 8; ++j)
        words[j * width + k / 64] |= uint64_t{LowBits(eight >> j)} << k % 64;
    }
  }
}

namespace {

void RunBits(const CimArgs& a, const CimArray& array, int32_t* acc) {
  const size_t planes = array.planes(), words = array.chunk_words(), chunks = array.chunks();
  const size_t cols = array.weights().cols;
  const Converter adc(array.options(), array.chunk_rows());
  std::vector<int64_t> code(array.chunk_rows() + 1);
  for (size_t s = 0; s < code.size(); ++s)
    code[s] = array.options().adc_bits ? static_cast<int64_t>(adc.Code(static_cast<float>(s)))
                                       : static_cast<int64_t>(s);
  std::vector<uint64_t> x(chunks * 8 * words);
  for (size_t m = 0; m < a.rows; ++m) {
    PackRow(static_cast<const uint8_t*>(a.x.data) + m * a.x_stride, array, x.data());
    for (size_t n = 0; n < cols; ++n) {
      int64_t sum = 0;
      for (size_t c = 0; c < chunks; ++c)
        for (size_t i = 0; i < planes; ++i) {
          const uint64_t* w = array.Bits(n, c) + i * words;
          int64_t line = 0;
          for (size_t j = 0; j < 8; ++j) {
            const uint64_t* row = x.data() + (c * 8 + j) * words;
            size_t ones = 0;
            for (size_t t = 0; t < words; ++t) ones += std::popcount(row[t] & w[t]);
            line += PlaneWeight(j, 8, a.x.is_signed) * code[ones];
          }
          sum += PlaneWeight(i, planes) * line;
        }
      acc[m * cols + n] = Finish(static_cast<double>(sum) * adc.step, a.x_zero, array.sums()[n]);
    }
  }
}

void RunLinear(const CimArgs& a, const CimArray& array, int32_t* acc) {
  const size_t depth = array.weights().depth, cols = array.weights().cols;
  std::vector<float> x(a.rows * depth), y(a.rows * cols);
  for (size_t m = 0; m < a.rows; ++m)
    for (size_t k = 0; k < depth; ++k)
      x[m * depth + k] = static_cast<float>(a.x[m * a.x_stride + k]);
  Sgemm(x.data(), static_cast<int64_t>(depth), static_cast<int64_t>(a.rows), array.linear(),
        y.data(), static_cast<int64_t>(cols), {}, Threads());
  const double deviation = SummedNoise(array.options(), array.chunks(), array.planes());
  const float* normal = NormalTable().data();
  for (size_t m = 0; m < a.rows; ++m) {
    const NoiseKey noise(a.noise_seed, a.first_row + m);
    for (size_t n = 0; n < cols; ++n) {
      double sum = y[m * cols + n];
      if (deviation > 0) sum += deviation * Normal(normal, noise.Bits(static_cast<uint32_t>(n)));
      acc[m * cols + n] = Finish(sum, a.x_zero, array.sums()[n]);
    }
  }
}

}  // namespace
}  // namespace cim

void CimGemm(const CimArgs& a, const CimArray& array, int32_t* acc) {
  if (CurrentIsa() == Isa::kPlain)
    return CimGemmRef(a, array.weights(), array.options(), array.seed(), acc);
  switch (array.path()) {
    case CimPath::kBits:
      return cim::RunBits(a, array, acc);
    case CimPath::kLinear:
      return cim::RunLinear(a, array, acc);
    case CimPath::kAnalog:
      return cim::RunAnalog(a, array, acc);
  }
}

}  // namespace mezzo
