#include "mezzo/algorithm/rounding.h"

#include <algorithm>
#include <cmath>

#include "mezzo/algorithm/lanes.h"
#include "mezzo/algorithm/weights.h"

namespace mezzo {
namespace {

constexpr float kDamping = 0.01f;

// Rounds up to kLanes rows at once: channels first..first+count-1 of one group.
class Rounder {
 public:
  Rounder(const WeightRows& rows, const float* weight, const std::vector<float>& scales,
          const std::vector<float>& factor, bool limit_pairs, int8_t* codes)
      : rows_(rows), w_(weight), scales_(scales), l_(factor), limit_(limit_pairs), codes_(codes) {}

  void Run(int64_t first, int64_t count) const {
    const int64_t d = rows_.depth;
    std::vector<float> error(d * kLanes);
    for (int64_t j = 0; j < d; ++j) {
      float sums[kLanes] = {};
      const float* row = l_.data() + j * d;
      AddProducts(row, error.data(), 0, j, sums);
      for (int64_t lane = 0; lane < count; ++lane) {
        const int64_t o = first + lane, at = rows_.At(o, j);
        const int32_t code = Code(o, j, w_[at] + sums[lane] / row[j]);
        codes_[at] = static_cast<int8_t>(code);
        error[j * kLanes + lane] = w_[at] - scales_[o] * static_cast<float>(code);
      }
    }
  }

 private:
  int32_t Code(int64_t o, int64_t j, float target) const {
    const QParams p{scales_[o], 0};
    int32_t code = Quantize(kInt8, p, target);
    if (!limit_) return code;
    if (PairsWithNext(rows_, j)) {  // leaves room for its partner
      int32_t partner = Quantize(kInt8, p, w_[rows_.At(o, j + 1)]);
      LimitPair(code, partner);
    }
    if (j > 0 && PairsWithNext(rows_, j - 1)) {
      const int32_t before = codes_[rows_.At(o, j - 1)];
      if (before >= 0) code = std::min(code, kPairLimit - before);
      if (before <= 0) code = std::max(code, -kPairLimit - before);
    }
    return code;
  }

  const WeightRows& rows_;
  const float* w_;
  const std::vector<float>& scales_;
  const std::vector<float>& l_;
  const bool limit_;
  int8_t* codes_;
};

float MeanOfDiagonal(const std::vector<float>& a, int64_t d) {
  double trace = 0;
  for (int64_t i = 0; i < d; ++i) trace += a[i * d + i];
  return static_cast<float>(trace / static_cast<double>(d));
}

}  // namespace

std::vector<float> DampMoments(std::vector<float> a, int64_t d, int64_t columns) {
  const float damping = std::max(kDamping * MeanOfDiagonal(a, d), 1e-30f);
  const float kept = static_cast<float>(columns) / static_cast<float>(columns + d);
  for (int64_t i = 0; i < d; ++i)
    for (int64_t j = 0; j < d; ++j)
      a[i * d + j] = i == j ? a[i * d + j] + damping : a[i * d + j] * kept;
  return a;
}

std::vector<float> FactorMoments(std::vector<float> a, int64_t d, const Threads& threads) {
  const float least = kDamping / (1 + kDamping) * MeanOfDiagonal(a, d);  // what was added
  // From the last row up: row k of L, then what it explains is taken off the rest.
  for (int64_t k = d - 1; k >= 0; --k) {
    float* row = a.data() + k * d;
    const float pivot = std::sqrt(std::max(row[k], least));
    row[k] = pivot;
    for (int64_t i = 0; i < k; ++i) row[i] /= pivot;
    std::fill(row + k + 1, row + d, 0.0f);
    threads.For(static_cast<size_t>(k), 64, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) {
        float* to = a.data() + static_cast<int64_t>(i) * d;
        const float f = row[i];
        for (int64_t j = 0; j <= static_cast<int64_t>(i); ++j) to[j] -= f * row[j];
      }
    });
  }
  return a;
}

RoundingBasis::RoundingBasis(const Moments& moments, const Threads& threads)
    : depth(moments.depth), columns(moments.columns) {
  for (const std::vector<float>& sums : moments.sums) {
    hessians.push_back(DampMoments(sums, depth, columns));
    factors.push_back(FactorMoments(hessians.back(), depth, threads));
  }
}

std::vector<int8_t> RoundWeights(const Node& node, const Tensor& weight,
                                 const std::vector<float>& scales, bool limit_pairs,
                                 const RoundingBasis& basis, const Threads& threads) {
  const WeightRows rows(node, weight);
  std::vector<int8_t> codes(weight.numel());
  const int64_t groups = static_cast<int64_t>(basis.factors.size());
  const int64_t per_group = rows.channels / groups;
  for (int64_t g = 0; g < groups; ++g) {
    const Rounder rounder(rows, weight.data<float>(), scales, basis.factors[g],
                          limit_pairs && !rows.depthwise, codes.data());
    const int64_t blocks = (per_group + kLanes - 1) / kLanes;
    threads.Each(static_cast<size_t>(blocks), [&](size_t block, size_t) {
      const int64_t first = static_cast<int64_t>(block) * kLanes;
      rounder.Run(g * per_group + first, std::min(kLanes, per_group - first));
    });
  }
  return codes;
}

}  // namespace mezzo
