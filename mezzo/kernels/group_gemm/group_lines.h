// Lines of group_gemm.h for an instruction set, on the calling thread.
#pragma once

#include "mezzo/kernels/group_gemm/group_gemm.h"

namespace mezzo {

struct GroupLines {
  // Panels [begin, end) for up to `few` tokens, unpacked on the way.
  int64_t few;
  void (*run_few)(const GroupActivations& x, const GroupProduct& product, int64_t begin,
                  int64_t end);
  // Panels [begin, end) for tokens [token_begin, token_end).
  void (*run_many)(const GroupActivations& x, const GroupProduct& product, int64_t begin,
                   int64_t end, int64_t token_begin, int64_t token_end);
};
const GroupLines& GroupAvx2();
const GroupLines& GroupAvxVnni();
const GroupLines& GroupAvx512Vnni();

}  // namespace mezzo
