// Lines of row_gemm.h for an instruction set, on the calling thread.
#pragma once

#include <vector>

#include "mezzo/kernels/fetch_ahead.h"
#include "mezzo/kernels/row_gemm/row_gemm.h"

namespace mezzo {

// Activations as codes, columns padded with zeros to whole groups.
struct WideCodes {
  int64_t tokens, groups;
  std::vector<int16_t> codes;  // (tokens, groups * PackedRows::kGroup)
  std::vector<float> scales;   // (tokens, groups)

  WideCodes(const float* x, int64_t x_stride, int64_t tokens, const PackedRows& w,
            const Threads& threads);
  const int16_t* Codes(int64_t t) const { return codes.data() + t * groups * PackedRows::kGroup; }
  const float* Scales(int64_t t) const { return scales.data() + t * groups; }
};

// Panels [begin, end).
using RowRun = void(const WideCodes& x, const PackedRows& w, int64_t begin, int64_t end, float* y,
                    int64_t y_stride);
RowRun RowRunAvx2, RowRunAvx512Vnni;

}  // namespace mezzo
