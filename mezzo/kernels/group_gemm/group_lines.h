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
GroupRun GroupRunRef, GroupRunAvx2, GroupRunNeonDot, GroupRunAvxVnni, GroupRunAvx512Vnni;

// A token's groups, each a step behind the one before it.
struct RoundedToken {
  const float* scales;
  int8_t* codes;
  int32_t* sums;  // of each group's codes
  int64_t step, codes_step;
};
// codes = x / scale, rounded, of `groups` groups of n values, a multiple of 8.
using GroupRound = void(const float* x, int64_t groups, int64_t n, const RoundedToken& to);
GroupRound GroupRoundAvx2, GroupRoundAvx512;

// To panels [begin, end) of tokens [token_begin, token_end), where the product has one.
void AddPath(const GroupProduct& product, int64_t begin, int64_t end, int64_t token_begin,
             int64_t token_end);

}  // namespace mezzo
