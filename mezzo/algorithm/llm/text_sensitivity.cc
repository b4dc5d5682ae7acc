#include "mezzo/algorithm/llm/text_sensitivity.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "mezzo/algorithm/llm/sequential.h"

namespace mezzo {
namespace {

constexpr int64_t kRows = 64;  // of logits at once

// The gradients of the final hidden states, for each probe, by drawing a successor of every token.
class HeadProbe {
 public:
  explicit HeadProbe(const LanguageModel& model)
      : graph_(model.Head()), gradient_(graph_, {"x"}, {}) {}

  std::vector<Tensor> Draw(const Tensor& x, size_t probes, uint64_t seed) const {
    std::vector<Tensor> all(probes);
    for (Tensor& g : all) g = Tensor(DType::kFloat32, x.shape());
    const int64_t tokens = x.dim(0), width = x.dim(1);
    for (int64_t begin = 0; begin < tokens; begin += kRows) {
      const int64_t end = std::min(tokens, begin + kRows);
      const Tape tape = gradient_.Forward({{"x", CopyRows(x, begin, end)}});
      // a probe's rows are weighed by their number here: the window's counts
      const float weight = std::sqrt(static_cast<float>(end - begin) / static_cast<float>(tokens));
      for (size_t p = 0; p < probes; ++p) {
        std::vector<Tensor> u =
            DrawProbe(DistortionKind::kKlLogits, tape.outputs,
                      (seed * probes + p) * 65537 + static_cast<uint64_t>(begin));
        for (float& v : u[0].span<float>()) v *= weight;
        gradient_.Reverse(tape, u, [&](const std::string&, const Tensor& g) {
          std::copy_n(g.ToLayout(Layout::kPlain).data<float>(), g.numel(),
                      all[p].data<float>() + begin * width);
        });
      }
    }
    return all;
  }

 private:
  Graph graph_;
  Gradient gradient_;
};

class Measurement {
 public:
  Measurement(const LanguageModel& model, const TextSensitivityTask& task)
      : model_(model), task_(task), blocks_(model.config().layers), sums_(blocks_) {}

  std::vector<LayerSensitivity> Run() {
    const HeadProbe head(model_);
    for (size_t first = 0; first < task_.windows.size(); first += kWindowsAtOnce)
      Group(head, first, std::min(task_.windows.size(), first + kWindowsAtOnce));
    std::vector<LayerSensitivity> all;
    for (auto& block : sums_)
      for (LayerSensitivity& layer : block) all.push_back(std::move(layer));
    return all;
  }

 private:
  void Step() const {
    if (task_.step) task_.step();
  }

  void Group(const HeadProbe& head, size_t first, size_t end) {
    const std::vector<Window> windows(task_.windows.begin() + static_cast<long>(first),
                                      task_.windows.begin() + static_cast<long>(end));
    const size_t n = windows.size();
    std::vector<std::vector<Tensor>> states{EmbedWindows(model_, windows, task_.threads)};
    for (int64_t b = 0; b < blocks_; ++b) {
      const Graph graph = model_.Block(b);
      const Session session(graph, {});
      states.emplace_back(n);
      task_.threads.Each(n, [&](size_t i, size_t) {
        states[b + 1][i] = session.Run(BlockInputs(states[b][i]))[0];
      });
      Step();
    }
    std::vector<std::vector<Tensor>> g(n);  // by window and probe
    task_.threads.Each(n, [&](size_t i, size_t) {
      g[i] = head.Draw(states.back()[i], task_.probes, task_.seed + first + i);
    });
    for (int64_t b = blocks_; b-- > 0;) {
      states.pop_back();
      Block(b, states.back(), g);
      Step();
    }
  }

  // Takes the gradients of a block's outputs, leaves those of its inputs.
  void Block(int64_t b, const std::vector<Tensor>& x, std::vector<std::vector<Tensor>>& g) {
    const Graph graph = model_.Block(b);
    std::vector<WeightDeltas> layers;
    for (const std::string& name : LinearLayers(graph)) {
      const auto node = std::find_if(graph.nodes.begin(), graph.nodes.end(),
                                     [&](const Node& node) { return node.name == name; });
      layers.push_back({name, task_.deltas(name, *graph.Initializer(node->inputs[1]))});
    }
    const size_t n = x.size();
    SensitivityPass pass(graph, std::move(layers), {}, {"x"}, n, task_.outputs, {});
    task_.threads.Each(n, [&](size_t i, size_t) {
      const Tape tape = pass.Forward(BlockInputs(x[i]));
      for (Tensor& probe : g[i]) probe = pass.Add(i, tape, {probe}).at("x");
    });
    const double share = static_cast<double>(n) / static_cast<double>(task_.windows.size());
    AddUp(sums_[b], pass.Results(n * task_.probes), share);
  }

  static void AddUp(std::vector<LayerSensitivity>& sums, const std::vector<LayerSensitivity>& part,
                    double share) {
    if (sums.empty())
      for (const LayerSensitivity& l : part) {
        const std::vector<double> zeros(l.full.size());
        sums.push_back({l.node, zeros, zeros, zeros, std::vector<double>(l.outputs.size()), 0});
      }
    for (size_t l = 0; l < part.size(); ++l) {
      sums[l].trace += share * part[l].trace;
      for (size_t c = 0; c < part[l].full.size(); ++c) {
        sums[l].full[c] += share * part[l].full[c];
        sums[l].rows[c] += share * part[l].rows[c];
        sums[l].elements[c] += share * part[l].elements[c];
      }
      for (size_t c = 0; c < part[l].outputs.size(); ++c)
        sums[l].outputs[c] += share * part[l].outputs[c];
    }
  }

  const LanguageModel& model_;
  const TextSensitivityTask& task_;
  const int64_t blocks_;
  std::vector<std::vector<LayerSensitivity>> sums_;  // by block
};

}  // namespace

std::vector<LayerSensitivity> MeasureTextSensitivity(const LanguageModel& model,
                                                     const TextSensitivityTask& task) {
  Require(!task.windows.empty() && task.probes > 0, "sensitivity needs text and probes");
  return Measurement(model, task).Run();
}

size_t TextSensitivitySteps(const LanguageModel& model, size_t windows) {
  const auto groups = (windows + kWindowsAtOnce - 1) / kWindowsAtOnce;
  return 2 * groups * static_cast<size_t>(model.config().layers);
}

}  // namespace mezzo
