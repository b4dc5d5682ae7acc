// Error-corrected rounding: each weight is rounded so that it makes up for the errors of those
// before it, as the layer's inputs correlate.
//
// For a row w, its codes q at scale s and H the sum of x x^T, the output's error is
// (w - s q)^T H (w - s q). With H = L^T L, L lower triangular, that is a sum of squares
//   sum_j ( L_jj e_j + sum_{i<j} L_ji e_i )^2,    e = w - s q,
// and going through j = 0, 1, ... each code is the one that makes its square smallest: GPTQ
// (Frantar et al. 2022, https://arxiv.org/abs/2210.17323) in the form of Babai's nearest plane.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "mezzo/algorithm/moments.h"
#include "mezzo/algorithm/plan.h"

namespace mezzo {

// H of a layer's moments: correlations are shrunk by depth / (depth + columns), since few columns
// make them look stronger than they are, and a hundredth of the mean of the diagonal is added to
// it.
std::vector<float> DampMoments(std::vector<float> sums, int64_t depth, int64_t columns);

// L of H, row-major, zeros above the diagonal.
std::vector<float> FactorMoments(std::vector<float> h, int64_t depth, const Threads& threads);

// A layer's moments as rounding needs them. They are costly to make and serve for any number of
// formats.
struct RoundingBasis {
  int64_t depth = 0, columns = 0;
  std::vector<std::vector<float>> hessians, factors;  // H and L, by group of a convolution

  RoundingBasis(const Moments& moments, const Threads& threads);
};

// The codes of a layer whose weight scales the plan has, laid out as the weight is. With
// `limit_pairs` as in weights.h.
std::vector<int8_t> RoundWeights(const Node& node, const Tensor& weight,
                                 const std::vector<float>& scales, bool limit_pairs,
                                 const RoundingBasis& basis, const Threads& threads);

}  // namespace mezzo
