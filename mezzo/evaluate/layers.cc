#include "mezzo/evaluate/layers.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <set>

#include "mezzo/runtime/fold_constants.h"
#include "mezzo/runtime/lower.h"

namespace mezzo {
namespace {

constexpr double kEqual = 200;  // dB

double Sqnr(double signal, double noise) {
  return noise > 0 ? std::min(kEqual, 10 * std::log10(std::max(signal, 1e-300) / noise)) : kEqual;
}

// A value of a run: floats, or codes with their grid.
struct Watch {
  Tensor value;
  float scale = 1, zero_point = 0;

  // As floats in plain layout.
  Tensor Real() const {
    const Tensor plain = value.ToLayout(Layout::kPlain);
    if (plain.dtype() == DType::kFloat32) return plain;
    Tensor real = Cast(plain, DType::kFloat32);
    for (float& v : real.span<float>()) v = scale * (v - zero_point);
    return real;
  }
};

// A model that runs in integers, and hands out its values under the names of the float graph.
class Watched {
 public:
  explicit Watched(const Graph& graph) : source_(graph) {
    FoldConstants(source_);
    const Uses uses(source_);
    bool quantized = false;
    for (const Node& node : source_.nodes) {
      quantized |= node.Is("DequantizeLinear");
      if (!node.Is("QuantizeLinear")) continue;
      const Tensor* scale = source_.Initializer(node.inputs.at(1));
      const Tensor* zero = node.HasInput(2) ? source_.Initializer(node.inputs[2]) : nullptr;
      if (!scale || scale->numel() != 1 || (zero && zero->numel() != 1)) continue;
      codes_[node.outputs[0]] = {node.inputs[0], *scale->data<float>(),
                                 zero ? *Cast(*zero, DType::kFloat32).data<float>() : 0.0f};
    }
    for (const auto& [q, code] : codes_) coded_.insert(code.value);
    for (const ValueInfo& out : source_.outputs) output_names_.insert(out.name);
    lowered_ = quantized ? LowerToIntegers(source_, nullptr) : source_;
    session_ = std::make_unique<Session>(lowered_, SessionOptions{});
  }

  // Hands out each value with its name in the float graph; graph outputs last.
  void Run(const TensorMap& inputs,
           const std::function<void(const std::string& name, Watch watch)>& see) const {
    const auto outputs = session_->Run(inputs, [&](const Node& node, size_t output, Tensor& t) {
      const std::string& name = node.outputs[output];
      const auto code = codes_.find(name);
      const std::string& value = code == codes_.end() ? name : code->second.value;
      if (output_names_.contains(value)) return;
      if (code != codes_.end())
        see(value, {t, code->second.scale, code->second.zero_point});
      else if (t.dtype() == DType::kFloat32 && !coded_.contains(name))
        see(name, {t});
    });
    for (size_t i = 0; i < outputs.size(); ++i)
      if (outputs[i].dtype() == DType::kFloat32) see(source_.outputs[i].name, {outputs[i]});
  }

  std::vector<std::string> Order() const {
    std::vector<std::string> names;
    for (const Node& node : source_.nodes)
      names.insert(names.end(), node.outputs.begin(), node.outputs.end());
    return names;
  }
  const std::set<std::string>& output_names() const { return output_names_; }

 private:
  struct Code {
    std::string value;
    float scale, zero_point;
  };
  Graph source_, lowered_;
  std::map<std::string, Code> codes_;
  std::set<std::string> coded_;
  std::set<std::string> output_names_;
  std::unique_ptr<Session> session_;
};

struct Sums {
  double a2 = 0, b2 = 0, ab = 0, d2 = 0, worst = 0;
  void Add(const Tensor& a, const Tensor& b) {
    const auto x = a.span<float>(), y = b.span<float>();
    for (size_t i = 0; i < x.size(); ++i) {
      const double u = x[i], v = y[i];
      a2 += u * u, b2 += v * v, ab += u * v, d2 += (u - v) * (u - v);
      worst = std::max(worst, std::fabs(u - v));
    }
  }
  void Merge(const Sums& o) {
    a2 += o.a2, b2 += o.b2, ab += o.ab, d2 += o.d2, worst = std::max(worst, o.worst);
  }
};

}  // namespace

LayerComparison CompareLayers(const Graph& a, const Graph& b, const Dataset& dataset,
                              const std::vector<size_t>& samples, const Threads& threads) {
  const Watched first(a), second(b);
  std::set<std::string> shared = first.output_names();
  for (const std::string& name : first.Order()) shared.insert(name);
  std::vector<std::map<std::string, Sums>> parts(
      samples.size());  // merged in order: the same for any thread count
  LayerComparison comparison;
  comparison.samples.resize(samples.size());
  threads.Each(samples.size(), [&](size_t i, size_t) {
    const Sample sample = dataset.Get(samples[i]);
    // As many of the second model's values as fit, against the first's; then the next ones.
    std::set<std::string> done;
    for (std::map<std::string, Watch> others;; others.clear()) {
      size_t bytes = 0;
      second.Run(sample.inputs, [&](const std::string& name, Watch w) {
        if (bytes >= kCompareBytes || !shared.contains(name) || done.contains(name)) return;
        w.value = w.value.Clone();
        bytes += w.value.bytes();
        others[name] = std::move(w);
      });
      if (others.empty()) break;
      first.Run(sample.inputs, [&](const std::string& name, const Watch& w) {
        const auto other = others.find(name);
        if (other != others.end() && other->second.value.shape() == w.value.shape())
          parts[i][name].Add(w.Real(), other->second.Real());
      });
      for (const auto& [name, w] : others) done.insert(name);
      if (bytes < kCompareBytes) break;  // that was all
    }
    Sums outputs;
    for (const std::string& name : first.output_names())
      if (parts[i].contains(name)) outputs.Merge(parts[i][name]);
    comparison.samples[i] = {sample.name, Sqnr(outputs.a2, outputs.d2)};
  });
  std::map<std::string, Sums> total;
  for (const auto& part : parts)
    for (const auto& [name, sums] : part) total[name].Merge(sums);
  for (const std::string& name : first.Order()) {
    const auto it = total.find(name);
    if (it == total.end()) continue;
    const Sums& s = it->second;
    const double norm = std::sqrt(s.a2 * s.b2);
    comparison.layers.push_back({name, Sqnr(s.a2, s.d2), norm > 0 ? s.ab / norm : 1, s.worst});
  }
  std::stable_sort(comparison.samples.begin(), comparison.samples.end(),
                   [](const SampleScore& p, const SampleScore& q) { return p.score < q.score; });
  return comparison;
}

}  // namespace mezzo
