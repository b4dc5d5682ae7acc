// Bias correction: what quantization shifts on average, the bias takes back.
//
// For a layer with input x, weight w, their quantized forms x^ and w^, and E[.] the mean over
// samples and positions:
//   shift[o] = sum_c ( E[x_c] * sum_k w[o,c,k]  -  E[x^_c] * sum_k w^[o,c,k] )
// Nagel et al. 2019, https://arxiv.org/abs/1906.04721, section 4.2, with measured means instead of
// assumed ones, and the input's own error counted in.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "mezzo/algorithm/plan.h"
#include "mezzo/calibrate/collect.h"
#include "mezzo/graph/graph.h"

namespace mezzo {

// The shift of every quantized Conv and Gemm of the plan, by node. One pass over the samples
// through the float graph; the result does not depend on their order or on the number of threads.
std::map<std::string, std::vector<float>> BiasShifts(const Graph& prepared, const Plan& plan,
                                                     const SampleFn& sample, size_t count,
                                                     const Threads& threads);

}  // namespace mezzo
