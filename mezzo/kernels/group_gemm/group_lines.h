// Lines of group_gemm.h for an instruction set, on the calling thread.
#pragma once

#include "mezzo/kernels/fetch_ahead.h"
#include "mezzo/kernels/group_gemm/group_gemm.h"

namespace mezzo {

// What the sixteen codes stand for plus an offset, so that none is negative; without an offset if
// groups have zero points.
struct CodeBytes {
  alignas(16) uint8_t bytes[16];
  int32_t offset;

  explicit CodeBytes(const GroupFormat& format);
};

// Panels [begin, end) for tokens [token_begin, token_end).
using GroupRun = void(const GroupActivations& x, const GroupProduct& product, int64_t begin,
                      int64_t end, int64_t token_begin, int64_t token_end);
GroupRun GroupRunAvx2, GroupRunNeonDot, GroupRunAvxVnni, GroupRunAvx512Vnni;

// codes[i] = x[i] / scale, rounded, of n values, a multiple of 8; returns their sum.
using GroupRound = int32_t(const float* x, int64_t n, float scale, int8_t* codes);
GroupRound GroupRoundAvx2, GroupRoundAvx512;

// To panels [begin, end) of tokens [token_begin, token_end), where the product has one.
void AddPath(const GroupProduct& product, int64_t begin, int64_t end, int64_t token_begin,
             int64_t token_end);

}  // namespace mezzo
