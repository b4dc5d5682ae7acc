// What sensitivity is measured by: backward passes from calibration samples.
#pragma once

#include <vector>

#include "mezzo/algorithm/sensitivity/sensitivity.h"
#include "mezzo/cli/int8_setup.h"

namespace mezzo {

// A pass for each draw, from a random direction of the outputs or, with `labels`, from the sample's
// own. Holds on to the setup.
SensitivityTask ProbeTask(const Int8Setup& setup, bool labels, std::vector<ProbeDraw> draws);

}  // namespace mezzo
