#include "mezzo/algorithm/narrow_weights.h"

#include <algorithm>

#include "mezzo/algorithm/narrow_rounder.h"

namespace mezzo {
namespace {

// Rounds up to kLanes channels and stores what came out.
void RoundChannels(const NarrowRounder& rounder, const WeightRows& rows, const float* weight,
                   int64_t first, int64_t count, NarrowWeights& q) {
  Lanes w(rows.depth);
  for (int64_t lane = 0; lane < count; ++lane)
    for (int64_t k = 0; k < rows.depth; ++k) w.At(k, lane) = weight[rows.At(first + lane, k)];
  const RoundedLanes r = rounder.Run(w, count);
  for (int64_t lane = 0; lane < count; ++lane) {
    const int64_t o = first + lane;
    q.scales[o] = r.scale[lane];
    for (int64_t g = 0; !q.steps.empty() && g < rounder.groups(); ++g)
      q.steps[o * rounder.groups() + g] = r.steps[g * kLanes + lane];
    for (int64_t k = 0; k < rows.depth; ++k)
      q.codes[rows.At(o, k)] = static_cast<int8_t>(r.w8.At(k, lane));
  }
}

// Both errors, from the codes.
void MeasureErrors(const WeightRows& rows, const float* w, const RoundingBasis* basis,
                   const Threads& threads, NarrowWeights& q) {
  const int64_t d = rows.depth, parts = basis ? static_cast<int64_t>(basis->hessians.size()) : 1;
  std::vector<double> error(rows.channels), weighted(rows.channels);
  const int64_t per_part = rows.channels / parts, blocks = (per_part + kLanes - 1) / kLanes;
  threads.Each(static_cast<size_t>(parts * blocks), [&](size_t block, size_t) {
    const int64_t part = static_cast<int64_t>(block) / blocks;
    const int64_t first = part * per_part + static_cast<int64_t>(block) % blocks * kLanes;
    const int64_t count = std::min(kLanes, (part + 1) * per_part - first);
    Lanes e(d);
    for (int64_t k = 0; k < d; ++k)
      for (int64_t lane = 0; lane < count; ++lane) {
        const int64_t o = first + lane, at = rows.At(o, k);
        e.At(k, lane) = w[at] - q.scales[o] * q.codes[at];
        error[o] += double{e.At(k, lane)} * e.At(k, lane);
      }
    for (int64_t k = 0; basis && k < d; ++k) {
      float sums[kLanes] = {};
      AddProducts(basis->hessians[part].data() + k * d, e.values.data(), 0, d, sums);
      for (int64_t lane = 0; lane < count; ++lane)
        weighted[first + lane] += double{sums[lane]} * e.At(k, lane);
    }
  });
  for (const double e : error) q.error += e;
  if (!basis) q.weighted_error = q.error;
  for (const double e : weighted)
    if (basis) q.weighted_error += e / static_cast<double>(basis->columns);
}

}  // namespace

int64_t GroupSize(const Node& node, const Tensor& weight, const WeightFormat& format,
                  int64_t asked) {
  const WeightRows rows(node, weight);
  if (!format.narrow()) return 0;
  for (int64_t size = std::min(asked, rows.inputs); size > 0 && 2 * size >= asked; --size)
    if (rows.inputs % size == 0) return size < rows.depth ? size : 0;
  return 0;
}

NarrowWeights QuantizeWeights(const Node& node, const Tensor& weight, const WeightFormat& format,
                              int64_t group_size, bool limit_pairs, const RoundingBasis* basis,
                              const Threads& threads) {
  const WeightRows rows(node, weight);
  const float* w = weight.data<float>();
  NarrowWeights q;
  if (!format.narrow()) {
    q.scales = WeightScales(node, weight, limit_pairs);
    if (basis) {
      q.codes = RoundWeights(node, weight, q.scales, limit_pairs, *basis, threads);
    } else {
      const Tensor codes = WeightCodes(node, weight, q.scales, limit_pairs);
      q.codes.assign(codes.span<int8_t>().begin(), codes.span<int8_t>().end());
    }
    MeasureErrors(rows, w, basis, threads, q);
    return q;
  }
  q.scales.resize(rows.channels);
  if (group_size) q.steps.resize(rows.channels * (rows.depth / group_size));
  q.codes.resize(weight.numel());
  const int64_t parts = basis ? static_cast<int64_t>(basis->factors.size()) : 1;
  const int64_t per_part = rows.channels / parts;
  for (int64_t part = 0; part < parts; ++part) {
    const NarrowRounder rounder(format, rows.depth, group_size,
                                basis ? basis->hessians[part].data() : nullptr,
                                basis ? basis->factors[part].data() : nullptr);
    threads.Each(static_cast<size_t>((per_part + kLanes - 1) / kLanes), [&](size_t block, size_t) {
      const int64_t first = static_cast<int64_t>(block) * kLanes;
      RoundChannels(rounder, rows, w, part * per_part + first, std::min(kLanes, per_part - first),
                    q);
    });
  }
  MeasureErrors(rows, w, basis, threads, q);
  return q;
}

Tensor NearestCodes(const Node& node, const Tensor& weight, const WeightFormat& format,
                    int64_t group_size, const std::vector<uint8_t>& steps,
                    const std::vector<float>& scales) {
  const WeightRows rows(node, weight);
  std::vector<NearestLevel> nearest;
  if (!group_size) nearest.emplace_back(Levels(format));
  for (int step = 1; group_size && step <= kSteps; ++step)
    nearest.emplace_back(Levels(format, step));
  Tensor codes(DType::kInt8, weight.shape());
  const int64_t groups = group_size ? rows.depth / group_size : 1;
  for (int64_t o = 0; o < rows.channels; ++o)
    for (int64_t k = 0; k < rows.depth; ++k) {
      const int64_t at = rows.At(o, k);
      const size_t table = group_size ? steps[o * groups + k / group_size] - 1 : 0;
      codes.data<int8_t>()[at] = nearest[table](weight.data<float>()[at] / scales[o]);
    }
  return codes;
}

Tensor DequantizeWeights(const Node& node, const Tensor& weight, const NarrowWeights& q) {
  const WeightRows rows(node, weight);
  Tensor out(DType::kFloat32, weight.shape());
  for (int64_t o = 0; o < rows.channels; ++o)
    for (int64_t k = 0; k < rows.depth; ++k) {
      const int64_t at = rows.At(o, k);
      out.data<float>()[at] = q.scales[o] * q.codes[at];
    }
  return out;
}

}  // namespace mezzo
