// Lines of group_gemm.h for AVX2, on the calling thread.
#pragma once

#include "mezzo/kernels/group_gemm/group_gemm.h"

namespace mezzo {

// Panels [begin, end) for up to three tokens.
void GroupGemmFewAvx2(const GroupActivations& x, const GroupProduct& product, int64_t begin,
                      int64_t end);
// Panels [begin, end) for tokens [token_begin, token_end).
void GroupGemmManyAvx2(const GroupActivations& x, const GroupProduct& product, int64_t begin,
                       int64_t end, int64_t token_begin, int64_t token_end);

}  // namespace mezzo
