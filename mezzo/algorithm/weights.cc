#include "mezzo/algorithm/weights.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "mezzo/format/affine_int.h"

namespace mezzo {
namespace {

// Some engines pair along the whole row, others begin anew at each kernel position; limiting only
// lowers codes, so both limits hold in the end.
void LimitPairs(const WeightRows& rows, std::vector<int32_t>& codes) {
  for (int64_t k = 0; k + 1 < rows.depth; k += 2) LimitPair(codes[k], codes[k + 1]);
  if (rows.inputs % 2 == 0) return;
  for (int64_t tap = 0; tap < rows.taps; ++tap)
    for (int64_t k = tap * rows.inputs; k + 1 < (tap + 1) * rows.inputs; k += 2)
      LimitPair(codes[k], codes[k + 1]);
}

// Codes of one channel into `codes`; returns their squared error.
double EncodeRow(const WeightRows& rows, const float* w, int64_t channel, float scale, bool limit,
                 std::vector<int32_t>& codes) {
  for (int64_t k = 0; k < rows.depth; ++k)
    codes[k] = Quantize(kInt8, {scale, 0}, w[rows.At(channel, k)]);
  if (limit) LimitPairs(rows, codes);
  double error = 0;
  for (int64_t k = 0; k < rows.depth; ++k) {
    const double d = w[rows.At(channel, k)] - static_cast<double>(scale) * codes[k];
    error += d * d;
  }
  return error;
}

}  // namespace

void LimitPair(int32_t& a, int32_t& b) {
  const int excess = std::abs(a + b) - kPairLimit;
  if (excess <= 0 || (a > 0) != (b > 0)) return;
  const int sign = a > 0 ? 1 : -1;
  int less_a = (excess + 1) / 2, less_b = excess - less_a;
  if (std::abs(b) > std::abs(a)) std::swap(less_a, less_b);
  a -= sign * less_a;
  b -= sign * less_b;
}

bool PairsWithNext(const WeightRows& rows, int64_t k) {
  if (k + 1 >= rows.depth) return false;
  const int64_t in_tap = k % rows.inputs;
  return k % 2 == 0 || (in_tap % 2 == 0 && in_tap + 1 < rows.inputs);
}

WeightRows::WeightRows(const Node& node, const Tensor& weight) {
  if (node.Is("Conv")) {
    channels = weight.dim(0);
    inputs = weight.dim(1);
    taps = channels && inputs ? weight.numel() / (channels * inputs) : 0;
    depthwise = inputs == 1 && node.Int("group", 1) == channels;
  } else {
    row_major = node.Is("Gemm") && node.Int("transB", 0);
    channels = weight.dim(row_major ? 0 : 1);
    inputs = weight.dim(row_major ? 1 : 0);
  }
  depth = taps * inputs;
}

std::vector<float> WeightScales(const Node& node, const Tensor& weight, bool limit_pairs) {
  const WeightRows rows(node, weight);
  const bool limit = limit_pairs && !rows.depthwise;
  const float* w = weight.data<float>();
  std::vector<float> scales(rows.channels);
  std::vector<int32_t> codes(rows.depth);
  for (int64_t o = 0; o < rows.channels; ++o) {
    float amax = 0;
    for (int64_t k = 0; k < rows.depth; ++k) amax = std::max(amax, std::fabs(w[rows.At(o, k)]));
    const float base = SymmetricQParams(kInt8, amax).scale;
    scales[o] = base;
    if (!limit) continue;
    double best = std::numeric_limits<double>::infinity();
    for (int step = 0; step <= 16; ++step) {
      const float scale = base * (1 + static_cast<float>(step) / 16);
      const double error = EncodeRow(rows, w, o, scale, true, codes);
      if (error < best) best = error, scales[o] = scale;
    }
  }
  return scales;
}

Tensor WeightCodes(const Node& node, const Tensor& weight, const std::vector<float>& scales,
                   bool limit_pairs) {
  const WeightRows rows(node, weight);
  Tensor out(DType::kInt8, weight.shape());
  std::vector<int32_t> codes(rows.depth);
  for (int64_t o = 0; o < rows.channels; ++o) {
    EncodeRow(rows, weight.data<float>(), o, scales[o], limit_pairs && !rows.depthwise, codes);
    for (int64_t k = 0; k < rows.depth; ++k)
      out.data<int8_t>()[rows.At(o, k)] = static_cast<int8_t>(codes[k]);
  }
  return out;
}

void CheckWeights(const Graph& graph) {
  for (const auto& [name, t] : graph.initializers) {
    if (t.dtype() != DType::kFloat32) continue;
    for (const float v : t.span<float>()) Require(!std::isnan(v), "weight ", name, " holds NaN");
  }
}

}  // namespace mezzo
