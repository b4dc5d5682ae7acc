// Compiled for AVX-512 (CMakeLists.txt).
#include "mezzo/kernels/vmath/functions_lines.h"

namespace mezzo::vmath {

const FunctionLines kFunctionsAvx512 = Lines<F16>::kTable;

}  // namespace mezzo::vmath
