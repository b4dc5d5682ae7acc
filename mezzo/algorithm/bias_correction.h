// Bias correction: what quantization shifts on average, the bias takes back.
//
// Layer after layer, with those before it corrected already:
//   shift[o] = mean of the float layer's output channel o - mean of the quantized layer's
// over the same samples and positions. Nagel et al. 2019, https://arxiv.org/abs/1906.04721, section
// 4.2, in its empirical form (their appendix D), which also sees what noise becomes behind Relu and
// the like.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "mezzo/algorithm/distortion.h"
#include "mezzo/algorithm/plan.h"
#include "mezzo/graph/graph.h"

namespace mezzo {

// The shift of every quantized Conv and Gemm of the plan, by node; shifts that the plan has are not
// counted. All samples go through the Q/DQ graph together, node by node, as many as fit into
// `memory` bytes (at least one). The result does not depend on the number of threads.
std::map<std::string, std::vector<float>> BiasShifts(const Model& prepared, const Plan& plan,
                                                     const TuningSet& samples, size_t memory,
                                                     const Threads& threads);

// A change of a layer's output channels, y to scale y + shift.
struct OutputFit {
  std::vector<float> scale, shift;
};

// Layer-wise reconstruction: with those before it fitted already, each Conv's and Gemm's output
// channels are brought nearest to the float layer's in squared error,
//   scale[o] = cov(float, quantized) / var(quantized),   shift[o] = mean float - scale mean
//   quantized,
// or shifts alone, with scales from half to twice. Of both, what the samples' spread says is chance
// is left out (James and Stein's factor, a layer each): a classifier's thousand channels are not
// fitted to a handful of pictures. Samples as above; shifts that the plan has are not counted.
std::map<std::string, OutputFit> FitOutputs(const Model& prepared, const Plan& plan,
                                            const TuningSet& samples, size_t memory, bool scales,
                                            const Threads& threads);
// Puts fits into a plan's weight scales and bias shifts.
void ApplyFits(const Graph& prepared, const std::map<std::string, OutputFit>& fits, Plan& plan);

}  // namespace mezzo
