// The path of a given rank that leaves the least of a layer's error (METHODS 5).
#pragma once

#include <string>
#include <vector>

#include "mezzo/base/threads.h"
#include "mezzo/kernels/sgemm/sgemm.h"
#include "mezzo/tensor/low_rank.h"

namespace mezzo {

// What a path's fit weighs errors by: all that inputs have in common, which is best; their powers
// (L2QER, https://arxiv.org/abs/2402.02446); nothing (LoRC, https://arxiv.org/abs/2303.08302).
enum class PathFit : uint8_t { kHessian, kDiagonal, kUnit };
// "hessian", "diagonal", "unit"; UsageError for another name.
PathFit PathFitOf(const std::string& name);
// The H for FitLowRank from the whole (depth, depth).
std::vector<float> Weighed(PathFit fit, std::vector<float> h);

// min over A, B of || (error - B A) H^(1/2) ||_F for an error (outputs, inputs) = W - Q(W) and H
// (inputs, inputs): B is the `rank` leading eigenvectors of error H error^T, orthonormal, and
// A = B^T error; by subspace iteration, to about three digits of what they take up. A rank above
// outputs or inputs is lowered to that; an H of zeros counts as the unit matrix.
LowRank FitLowRank(const Tensor& error, std::vector<float> h, int64_t rank, const Threads& threads);

// sum over rows r of r^T H r, H symmetric and packed; only its lower half and blocks of 64 about
// the diagonal are read.
double WeightedSquares(const Tensor& rows, const PackedB& h, const Threads& threads);

// B A, (outputs, inputs).
Tensor Product(const LowRank& path, const Threads& threads);

}  // namespace mezzo
