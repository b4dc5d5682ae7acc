// Lines of group_gemm.h for an instruction set, on the calling thread: panels [begin, end) for
// tokens [token_begin, token_end).
#pragma once

#include "mezzo/kernels/group_gemm/group_gemm.h"

namespace mezzo {

using GroupRun = void(const GroupActivations& x, const GroupProduct& product, int64_t begin,
                      int64_t end, int64_t token_begin, int64_t token_end);
GroupRun GroupRunAvx2, GroupRunAvxVnni, GroupRunAvx512Vnni;

}  // namespace mezzo
