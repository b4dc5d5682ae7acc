// Four-bit codes for a linear layer, each rounded so that it makes up for the errors of those
// before it: GPTQ (Frantar et al. 2022, https://arxiv.org/abs/2210.17323), with the error taken
// against the value that hardware will multiply: Dual Precision Quantization
// (https://arxiv.org/abs/2505.14638).
#pragma once

#include "mezzo/algorithm/llm/hessian.h"
#include "mezzo/tensor/group_codes.h"

namespace mezzo {

struct GroupRounding {
  GroupFormat format;
  bool reorder = true;  // columns by the size of their input, within groups: METHODS 4.2
  bool correct = true;  // error correction; else round to nearest
  bool search = true;   // scales by weighted squared error, else by the largest weight
  double damping = 0.01;
};

// For a weight (outputs, inputs); the group must divide the inputs. Scales are taken from the
// weights as they stand when their group is reached. Without error correction the Hessian only
// weighs the search. `damping`, if given, tells what was used. Throws UsageError for a weight that
// is not finite.
GroupCodes RoundGroups(const Tensor& weight, const Hessian& h, const GroupRounding& how,
                       const Threads& threads, double* damping = nullptr);

}  // namespace mezzo
