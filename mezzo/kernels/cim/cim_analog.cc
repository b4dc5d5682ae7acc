// Every conversion by itself: 64 lines at a time, eight vectors of sums to which each set bit of an
// activation plane adds the conductances of its row.
#include "mezzo/kernels/cim/cim_analog.h"

#include <bit>
#include <cstring>

#include "mezzo/kernels/cim/cim_cell.h"
#include "mezzo/kernels/vmath/vector.h"

namespace mezzo::cim {
namespace {

using vmath::F8;
using vmath::I8;

constexpr size_t kVectors = 8;  // of 8 lines
using Lines = F8[kVectors];

// The lines' sums for one plane of a chunk, in ascending order of rows.
void Sum(const uint64_t* bits, size_t words, const float* g, Lines& sum) {
  for (F8& s : sum) s = F8{};
  for (size_t t = 0; t < words; ++t, g += 64 * 64)
    for (uint64_t left = bits[t]; left; left &= left - 1) {
      const float* row = g + 64 * static_cast<size_t>(std::countr_zero(left));
      for (size_t v = 0; v < kVectors; ++v) sum[v] += vmath::Load(row + 8 * v);
    }
}

// NoiseKey::Bits and Normal on eight counters from `counter` on.
F8 NormalVector(const float* table, const NoiseKey& key, uint32_t counter) {
  using U8 = vmath::Vec<uint32_t>;
  U8 x = vmath::Splat(counter + key.a) + U8{0, 1, 2, 3, 4, 5, 6, 7};
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = ((x ^ (x >> 15)) + key.b) * 0x846ca68bu;
  x ^= x >> 16;
  return _mm256_i32gather_ps(table, (__m256i)(x >> 20), 4) +
         _mm256_i32gather_ps(table, (__m256i)((x >> 8) & 0xfff), 4);
}

struct Job {
  const CimArgs& args;
  const CimArray& array;
  const Converter adc;
  const float* normal = NormalTable().data();
  const float read_noise = array.options().read_noise;
};

// Codes of 64 lines for one chunk, summed over the activations' planes.
void Convert(const Job& job, const NoiseKey& key, size_t chunk, size_t block, const uint64_t* x,
             int32_t* codes) {
  const CimArray& array = job.array;
  const size_t words = array.chunk_words(), all_lines = array.weights().cols * array.planes();
  const float* g = array.Lines(block, chunk * array.chunk_rows());
  const F8 zero{}, top = vmath::Splat(job.adc.top);
  I8 total[kVectors] = {};
  for (size_t j = 0; j < 8; ++j) {
    Lines sum;
    Sum(x + (chunk * 8 + j) * words, words, g, sum);
    const auto weight = static_cast<int32_t>(PlaneWeight(j, 8, job.args.x.is_signed));
    const size_t counter = (chunk * 8 + j) * all_lines + block * 64;
    for (size_t v = 0; v < kVectors; ++v) {
      if (job.read_noise > 0)
        sum[v] +=
            job.read_noise * NormalVector(job.normal, key, static_cast<uint32_t>(counter + 8 * v));
      const F8 q = vmath::Min(vmath::Max(vmath::RoundEven(sum[v] / job.adc.step), zero), top);
      total[v] += __builtin_convertvector(q, I8) * weight;
    }
  }
  std::memcpy(codes, total, sizeof(total));
}

// Adds 64 lines' codes to the sums of their columns.
void Gather(const CimArray& array, size_t block, const int32_t* codes, int64_t* sums) {
  const size_t planes = array.planes();
  const size_t begin = block * 64, end = std::min(begin + 64, array.weights().cols * planes);
  for (size_t line = begin; line < end; ++line)
    sums[line / planes] += PlaneWeight(line % planes, planes) * codes[line - begin];
}

}  // namespace

void RunAnalog(const CimArgs& a, const CimArray& array, int32_t* acc) {
  const Job job{a, array, Converter(array.options(), array.chunk_rows())};
  const size_t cols = array.weights().cols;
  const size_t row_words = array.chunks() * 8 * array.chunk_words();
  std::vector<uint64_t> x(a.rows * row_words);
  std::vector<int64_t> sums(a.rows * cols);
  for (size_t m = 0; m < a.rows; ++m)
    PackRow(static_cast<const uint8_t*>(a.x.data) + m * a.x_stride, array,
            x.data() + m * row_words);
  for (size_t block = 0; block < array.line_blocks(); ++block)
    for (size_t m = 0; m < a.rows; ++m) {
      const NoiseKey key(a.noise_seed, a.first_row + m);
      for (size_t c = 0; c < array.chunks(); ++c) {
        int32_t codes[64];
        Convert(job, key, c, block, x.data() + m * row_words, codes);
        Gather(array, block, codes, sums.data() + m * cols);
      }
    }
  for (size_t i = 0; i < sums.size(); ++i)
    acc[i] = Finish(static_cast<double>(sums[i]) * job.adc.step, a.x_zero, array.sums()[i % cols]);
}

}  // namespace mezzo::cim
