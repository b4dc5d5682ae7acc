// Random directions of a network's outputs, whose gradients measure second derivatives of a loss.
//
// With u random such that E[u u^T] = F, the loss's second derivative by the outputs, and J the
// outputs' derivative by some weights, E[<J^T u, d>^2] = d^T J^T F J d: twice what a change d of
// the weights adds to the loss, to second order (Gauss-Newton).
//
//   KL divergence from the float model   u_k = s_k sqrt(p_k) - p_k sum_j s_j sqrt(p_j), signs s
//                                        drawn: the same mean of u u^T as onehot(y) - p with y
//                                        drawn from p, without its rare large values
//   cross entropy with labels            u = onehot(label) - p (Fisher from labels, arXiv
//                                        2110.06554, eq. 8)
//   relative squared error               u = +-sqrt(2) / |output| for each element
#pragma once

#include <cstdint>
#include <vector>

#include "mezzo/algorithm/distortion.h"

namespace mezzo {

// For each output; absent for those that do not count (see DistortionKind). Rows of distributions
// are averaged: their u is divided by the root of their number. The same seed gives the same
// directions. Throws UsageError for a label outside the classes.
std::vector<Tensor> DrawProbe(DistortionKind kind, const std::vector<Tensor>& outputs,
                              uint64_t seed);
// How much a sample's outputs can move the loss: the trace of F by the logits (or their scale).
double ProbeSize(DistortionKind kind, const std::vector<Tensor>& outputs);

// Where probes tell most: samples with large ones more often, each weighed by what it stands for.
struct ProbeDraw {
  size_t sample;
  float scale;  // of its u
};
// `count` draws from the samples of these sizes, in their order: sample i about count * q_i times,
// q_i its share of the sizes (mixed with an equal share, since a size is not all), scaled by
// sqrt(1 / (samples * q_i)). Means over draws then are means over samples.
std::vector<ProbeDraw> SpreadProbes(const std::vector<double>& sizes, size_t count, uint64_t seed);
// The same with the sample's class index in place of y; one row only.
std::vector<Tensor> LabelProbe(DistortionKind kind, const std::vector<Tensor>& outputs,
                               int64_t label);

// The loss itself, between a float model's outputs and another's, at temperature 1: the mean over
// rows of KL(f || q), or the mean over outputs of |q - f|^2 / |f|^2.
double OutputLoss(DistortionKind kind, const std::vector<Tensor>& f, const std::vector<Tensor>& q);
// Its gradient by q, for each output; absent for those that do not count.
std::vector<Tensor> OutputLossGradient(DistortionKind kind, const std::vector<Tensor>& f,
                                       const std::vector<Tensor>& q);

}  // namespace mezzo
