#include "mezzo/algorithm/equalize.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "mezzo/algorithm/equalize_sources.h"
#include "mezzo/algorithm/live_range.h"
#include "mezzo/algorithm/noise_gain.h"
#include "mezzo/calibrate/channels.h"
#include "mezzo/format/affine_int.h"

namespace mezzo {
namespace {

constexpr double kWorth = 0.8;           // noise, relative to that without scales, that is worth it
constexpr double kWorthMul = 0.5;        // where a Mul has to restore units
constexpr float kMostApart = 64;         // the largest scale over the smallest
constexpr double kRoundingLeaves = 0.1;  // of the weights' noise, where rounding corrects errors
constexpr size_t kRoundedSamples = 8;
constexpr double kPowers[] = {1, 0.75, 0.5};

// Sources that are scaled together, their channels one after the other.
class Group {
 public:
  Group(const Graph& graph, const EqualizationSources& found, size_t root,
        const ChannelGains& gains)
      : graph_(graph), found_(found), gains_(gains) {
    for (size_t s = 0; s < found.sources.size(); ++s) {
      if (found.Root(s) != root) continue;
      base_[s] = ranges_.size();
      ranges_.resize(ranges_.size() + found.sources[s].channels);
      pinned_ |= found.sources[s].pinned;
      copied_ |= found.sources[s].copied;
      restored_ |= found.sources[s].restored;
      clipped_ |= found.sources[s].clipped;
    }
    for (const Reader& r : found.readers)
      if (base_.contains(r.sources[0])) readers_.push_back({&r, Channels(r.sources)});
  }

  bool pinned() const { return pinned_; }
  bool Holds(const Quantized& q) const { return base_.contains(q.sources[0]); }

  // What the channels of a quantized value were seen to hold, of which only `live` counts.
  void See(const Quantized& q, const std::vector<ChannelRange>& seen, const Range* live) {
    const std::vector<size_t> channels = Channels(q.sources);
    if (channels.size() != seen.size()) {
      pinned_ = true;
      return;
    }
    for (size_t i = 0; i < seen.size(); ++i) {
      ChannelRange& r = ranges_[channels[i]];
      r.lo = std::min(r.lo, live ? std::max(seen[i].lo, live->lo) : seen[i].lo);
      r.hi = std::max(r.hi, live ? std::min(seen[i].hi, live->hi) : seen[i].hi);
      r.square = std::max(r.square, seen[i].square);
    }
  }

  // Empty if none pay.
  std::vector<float> Choose(const TuningSet& tuning) const {
    return restored_ ? ChooseByRounding(tuning) : ChooseByFormula();
  }

  std::vector<float> Part(const std::vector<float>& scales, size_t source) const {
    const auto from = scales.begin() + static_cast<std::ptrdiff_t>(base_.at(source));
    return {from, from + found_.sources[source].channels};
  }
  std::vector<size_t> Sources() const {
    std::vector<size_t> all;
    for (const auto& [s, base] : base_) all.push_back(s);
    return all;
  }
  // The range of a scaled value.
  Range Scaled(const Quantized& q, const std::vector<float>& scales) const {
    Range r{0, 0};
    for (const size_t c : Channels(q.sources))
      r = {std::min(r.lo, ranges_[c].lo / scales[c]), std::max(r.hi, ranges_[c].hi / scales[c])};
    return r;
  }

 private:
  std::vector<float> ChooseByFormula() const {
    const std::vector<double> gains = Gains();
    const std::vector<float> ranges = Limit(RangesOn(BestRatio(gains)));
    const std::vector<float> weights = WeightSizes();
    double best =
        Noise(std::vector<float>(ranges.size(), 1), gains) * (copied_ ? kWorthMul : kWorth);
    std::vector<float> chosen;
    for (const double power : kPowers)
      for (const bool by_weights : {false, true}) {
        if (by_weights && (power == 1 || weights.empty() || clipped_)) continue;
        std::vector<float> s(ranges.size());
        for (size_t c = 0; c < s.size(); ++c)
          s[c] = static_cast<float>(std::pow(ranges[c], power) *
                                    (by_weights ? std::pow(weights[c], power - 1) : 1));
        s = Limit(s);
        if (const double noise = Noise(s, gains); noise < best) best = noise, chosen = s;
      }
    return chosen;
  }

  // With the grid as it is, so that no channel gets a coarser one, or with the best by the formula.
  std::vector<float> ChooseByRounding(const TuningSet& tuning) const {
    double best = Rounded(tuning, std::vector<float>(ranges_.size(), 1)) * kWorthMul;
    std::vector<float> chosen;
    float lo = 0, hi = 0;
    for (const ChannelRange& r : ranges_) lo = std::min(lo, r.lo), hi = std::max(hi, r.hi);
    for (const double ratio : {hi > 0 ? static_cast<double>(-lo / hi) : 1.0, BestRatio(Gains())}) {
      const std::vector<float> s = Limit(RangesOn(ratio));
      if (const double d = Rounded(tuning, s); d < best) best = d, chosen = s;
    }
    return chosen;
  }

  // The distortion that rounding the group's quantized values to 8 bits in these units brings.
  double Rounded(const TuningSet& tuning, const std::vector<float>& s) const {
    return tuning.Measure(graph_, kRoundedSamples,
                          [&](const Node& node, size_t output, Tensor& value) {
                            for (const Quantized& q : found_.quantized)
                              if (q.value == node.outputs[output] && Holds(q))
                                value = RoundChannels(value, Channels(q.sources), Scaled(q, s), s);
                          });
  }

  static Tensor RoundChannels(const Tensor& value, const std::vector<size_t>& channels, Range grid,
                              const std::vector<float>& s) {
    Tensor t = value.ToLayout(Layout::kPlain).Clone();
    const QParams p = AsymmetricQParams(kUInt8, grid.lo, grid.hi);
    const int64_t inner = t.numel() / std::max<int64_t>(1, t.dim(0) * t.dim(1));
    for (int64_t i = 0; i < t.numel(); ++i) {
      float& v = t.data<float>()[i];
      const float scale = s[channels[i / inner % t.dim(1)]];
      v = scale * Dequantize(p, Quantize(kUInt8, p, v / scale));
    }
    return t;
  }

  std::vector<size_t> Channels(const std::vector<size_t>& sources) const {
    std::vector<size_t> all;
    for (const size_t s : sources)
      for (int64_t c = 0; c < found_.sources[s].channels; ++c) all.push_back(base_.at(s) + c);
    return all;
  }

  // g_c: what noise in the channel counts, in squares.
  std::vector<double> Gains() const {
    std::vector<double> all(ranges_.size());
    for (const auto& [s, base] : base_) {
      const Source& source = found_.sources[s];
      const std::vector<double> g = GainsOf(gains_, source.value, source.channels);
      std::copy(g.begin(), g.end(), all.begin() + static_cast<std::ptrdiff_t>(base));
    }
    return all;
  }

  // The largest weight of each channel over the layers that share a scale among channels; empty if
  // there are none.
  std::vector<float> WeightSizes() const {
    std::vector<float> sizes(ranges_.size());
    bool any = false;
    for (const auto& [reader, channels] : readers_) {
      if (reader->layer.inputs == reader->layer.groups) continue;
      any = true;
      const float* w = graph_.Initializer(reader->node->inputs[1])->data<float>();
      reader->layer.Each([&, &channels = channels](int64_t at, int64_t i, int64_t) {
        sizes[channels[i]] = std::max(sizes[channels[i]], std::fabs(w[at]));
      });
    }
    if (any)
      for (float& s : sizes) s = std::max(s, 1e-30f);
    return any ? sizes : std::vector<float>{};
  }

  // r of the grid from -r to 1 that leaves the least noise.
  double BestRatio(const std::vector<double>& gains) const {
    double best = 1, least = std::numeric_limits<double>::infinity();
    for (double r = 1.0 / 256; r < 300; r *= 1.25) {
      const std::vector<float> s = RangesOn(r);
      double noise = 0;
      for (size_t c = 0; c < s.size(); ++c) noise += gains[c] * s[c] * s[c];
      noise *= (1 + r) * (1 + r);
      if (noise < least) least = noise, best = r;
    }
    return best;
  }

  // The channels' ranges relative to those of a grid from -r to 1.
  std::vector<float> RangesOn(double r) const {
    std::vector<float> s;
    for (const ChannelRange& c : ranges_)
      s.push_back(c.lo < 0 ? std::max(static_cast<float>(-c.lo / r), c.hi) : c.hi);
    return s;
  }

  // With 1 as the largest scale and none too small; channels that hold nothing get 1.
  static std::vector<float> Limit(std::vector<float> s) {
    const float most = *std::max_element(s.begin(), s.end());
    for (float& v : s) v = v > 0 && most > 0 ? std::max(v / most, 1 / kMostApart) : 1;
    return s;
  }

  double Noise(const std::vector<float>& s, const std::vector<double>& gains) const {
    double lo = 0, hi = 0, from_codes = 0;
    for (size_t c = 0; c < s.size(); ++c) {
      lo = std::min(lo, static_cast<double>(ranges_[c].lo) / s[c]);
      hi = std::max(hi, static_cast<double>(ranges_[c].hi) / s[c]);
      from_codes += gains[c] * s[c] * s[c];
    }
    const double step = (hi - lo) / 255;
    double noise = from_codes * step * step / 12;
    for (const auto& [reader, channels] : readers_)
      noise += kRoundingLeaves * WeightNoise(*reader, channels, s);
    return noise;
  }

  double WeightNoise(const Reader& reader, const std::vector<size_t>& channels,
                     const std::vector<float>& s) const {
    const LayerChannels& layer = reader.layer;
    const float* w = graph_.Initializer(reader.node->inputs[1])->data<float>();
    std::vector<double> largest(layer.outputs), power(layer.outputs);
    layer.Each([&](int64_t at, int64_t i, int64_t o) {
      const double scale = s[channels[i]];
      largest[o] = std::max(largest[o], std::fabs(w[at]) * scale);
      power[o] += ranges_[channels[i]].square / (scale * scale);
    });
    double noise = 0;
    const std::vector<double> gains = GainsOf(gains_, reader.node->outputs[0], layer.outputs);
    for (int64_t o = 0; o < layer.outputs; ++o)
      noise += gains[o] * largest[o] / 127 * largest[o] / 127 * power[o] / 12;
    return noise;
  }

  const Graph& graph_;
  const EqualizationSources& found_;
  const ChannelGains& gains_;
  std::map<size_t, size_t> base_;  // by source
  std::vector<ChannelRange> ranges_;
  std::vector<std::pair<const Reader*, std::vector<size_t>>> readers_;
  bool pinned_ = false, copied_ = false, restored_ = false, clipped_ = false;
};

std::map<std::string, Range> WholeRanges(
    const std::map<std::string, std::vector<ChannelRange>>& channels) {
  std::map<std::string, Range> whole;
  for (const auto& [name, list] : channels)
    for (const ChannelRange& c : list) {
      Range& r = whole[name];
      r = {std::min(r.lo, c.lo), std::max(r.hi, c.hi)};
    }
  return whole;
}

}  // namespace

Equalization ChooseEqualization(const Graph& graph, const std::set<std::string>& quantized,
                                const SampleFn& sample, size_t count, const TuningSet& tuning,
                                const Threads& threads) {
  const EqualizationSources found = FindEqualizationSources(graph, quantized);
  ChannelGains gains;  // filled when the channels are known
  std::vector<Group> groups;
  std::map<std::string, int> axes;
  for (size_t s = 0; s < found.sources.size(); ++s) {
    if (found.Root(s) != s) continue;
    Group group(graph, found, s, gains);
    if (!group.pinned()) groups.push_back(std::move(group));
  }
  for (const Quantized& q : found.quantized) {
    bool matrix = false;
    for (const Reader& r : found.readers) matrix |= r.sources == q.sources && !r.layer.convolution;
    if (std::any_of(groups.begin(), groups.end(), [&](const Group& g) { return g.Holds(q); }))
      axes[q.value] = matrix ? -1 : 1;
  }
  for (const std::string& value : NeededChannels(graph)) axes.emplace(value, 1);
  const auto channels = CollectChannels(graph, axes, sample, count, threads);
  const auto live = LiveRanges(graph, WholeRanges(channels));
  gains = NoiseGains(graph, channels);
  Equalization result;
  for (Group& group : groups) {
    std::vector<const Quantized*> flat;
    for (const Quantized& q : found.quantized) {
      const auto seen = channels.find(q.value);
      if (!group.Holds(q) || seen == channels.end()) continue;
      const auto l = live.find(q.value);
      group.See(q, seen->second, l == live.end() ? nullptr : &l->second);
      if (l != live.end()) flat.push_back(&q);
    }
    if (group.pinned()) continue;
    const std::vector<float> scales = group.Choose(tuning);
    if (scales.empty()) continue;
    for (const size_t s : group.Sources())
      result.scales[found.sources[s].value] = group.Part(scales, s);
    for (const Quantized* q : flat)
      result.live[q->value + kEqualizedSuffix] = group.Scaled(*q, scales);
  }
  return result;
}

}  // namespace mezzo
