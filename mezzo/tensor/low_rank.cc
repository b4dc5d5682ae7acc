#include "mezzo/tensor/low_rank.h"

#include <algorithm>

#include "mezzo/format/half.h"

namespace mezzo {

LowRank Truncated(const LowRank& path, int64_t rank) {
  rank = std::min(rank, path.rank());
  const int64_t inputs = path.a.dim(1), outputs = path.b.dim(0);
  LowRank t{Tensor(DType::kFloat32, {rank, inputs}), Tensor(DType::kFloat32, {outputs, rank})};
  std::copy_n(path.a.data<float>(), t.a.numel(), t.a.data<float>());
  for (int64_t o = 0; o < outputs; ++o)
    std::copy_n(path.b.data<float>() + o * path.rank(), rank, t.b.data<float>() + o * rank);
  return t;
}

LowRank RoundToBFloat16(const LowRank& path) {
  LowRank rounded{path.a.Clone(), path.b.Clone()};
  for (Tensor* t : {&rounded.a, &rounded.b})
    for (float& v : t->span<float>()) v = BFloat16ToFloat(FloatToBFloat16(v));
  return rounded;
}

}  // namespace mezzo
