#include "mezzo/kernels/cim/cim_cell.h"

namespace mezzo {

void CimGemmRef(const CimArgs& a, const CimWeights& w, const CimOptions& o, uint64_t seed,
                int32_t* acc) {
  using namespace cim;
  const Cells cells(o, seed);
  const float* normal = NormalTable().data();
  const size_t planes = w.Planes();
  const size_t rows = o.rows ? std::min(o.rows, w.depth) : w.depth;
  const size_t chunks = (w.depth + rows - 1) / rows;
  const Converter adc(o, rows);
  for (size_t m = 0; m < a.rows; ++m) {
    const NoiseKey noise(a.noise_seed, a.first_row + m);
    for (size_t n = 0; n < w.cols; ++n) {
      double sum = 0;
      int64_t w_sum = 0;
      for (size_t k = 0; k < w.depth; ++k) w_sum += w.values[k * w.cols + n];
      for (size_t c = 0; c < chunks; ++c)
        for (size_t j = 0; j < 8; ++j)
          for (size_t i = 0; i < planes; ++i) {
            float line = 0;
            for (size_t k = c * rows; k < std::min((c + 1) * rows, w.depth); ++k) {
              const size_t index = k * w.cols + n;
              if (a.x[m * a.x_stride + k] >> j & 1)
                line += cells.Conductance(index, i, w.values[index] >> i & 1);
            }
            if (o.adc_bits > 0 && o.read_noise > 0) {
              const size_t counter = (c * 8 + j) * w.cols * planes + n * planes + i;
              line += o.read_noise * Normal(normal, noise.Bits(static_cast<uint32_t>(counter)));
            }
            const float code = o.adc_bits > 0 ? adc.Code(line) : line;
            sum += static_cast<double>(PlaneWeight(i, planes) * PlaneWeight(j, 8, a.x.is_signed)) *
                   code;
          }
      sum *= adc.step;
      if (o.adc_bits == 0 && o.read_noise > 0)
        sum +=
            SummedNoise(o, chunks, planes) * Normal(normal, noise.Bits(static_cast<uint32_t>(n)));
      acc[m * w.cols + n] = Finish(sum, a.x_zero, w_sum);
    }
  }
}

}  // namespace mezzo
