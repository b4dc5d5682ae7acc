#include "mezzo/runtime/decoder/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "mezzo/kernels/vmath/vmath.h"

namespace mezzo {

Tensor LastLogits(const Decoder& decoder, const Tensor& hidden) {
  const int64_t width = hidden.dim(1), rows = hidden.dim(0);
  Tensor last(DType::kFloat32, {1, width});
  std::copy_n(hidden.data<float>() + (rows - 1) * width, width, last.data<float>());
  return decoder.Logits(last);
}

int32_t Likeliest(const Tensor& logits) {
  const auto x = logits.span<float>();
  const float most = vmath::MaxOf(x.data(), x.size(), -INFINITY);
  const auto first = std::find(x.begin(), x.end(), most);
  return static_cast<int32_t>(first == x.end() ? 0 : first - x.begin());  // 0 if one is no number
}

Sampler::Sampler(const SamplerOptions& options) : o_(options), random_(options.seed) {
  Require(o_.temperature >= 0, "--temperature: got ", o_.temperature, ", needs 0 or more");
  Require(o_.top_k >= 0, "--top-k: got ", o_.top_k, ", needs 0 or more");
  Require(o_.top_p > 0 && o_.top_p <= 1, "--top-p: got ", o_.top_p, ", needs a number in (0, 1]");
}

int32_t Sampler::Next(const Tensor& logits) {
  if (o_.temperature == 0) return Likeliest(logits);
  const auto x = logits.span<float>();
  std::vector<int32_t> ids(x.size());
  std::iota(ids.begin(), ids.end(), 0);
  // Ties in the order of the ids, so that the draw is the same everywhere.
  std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) { return x[a] > x[b]; });
  if (o_.top_k > 0) ids.resize(std::min(ids.size(), static_cast<size_t>(o_.top_k)));
  std::vector<double> weight;
  double all = 0;
  for (const int32_t id : ids) {
    weight.push_back(std::exp((double(x[id]) - x[ids[0]]) / o_.temperature));
    all += weight.back();
  }
  double kept = 0;
  size_t count = 0;
  while (count < ids.size() && kept < o_.top_p * all) kept += weight[count++];
  double left = kept * (static_cast<double>(random_() >> 11) * 0x1p-53);
  size_t i = 0;
  while (i + 1 < count && left >= weight[i]) left -= weight[i++];
  return ids[i];
}

}  // namespace mezzo
