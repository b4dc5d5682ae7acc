#include "mezzo/algorithm/llm/sequential.h"

#include <algorithm>
#include <map>
#include <set>
#include <span>

namespace mezzo {

std::vector<std::string> LinearLayers(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& node : graph.nodes)
    if (node.Is("Gemm") && graph.Initializer(node.inputs[1]) && !IsRecoveryPath(node))
      names.push_back(node.name);
  return names;
}

std::vector<Graph> CutBefore(const Graph& graph, const std::vector<std::string>& layers) {
  std::map<std::string, size_t> made;  // value -> the part that makes it
  std::map<std::string, size_t> last;  // value -> the last part that reads it
  std::vector<size_t> part_of;
  size_t parts = 1;
  for (const Node& node : graph.nodes) {
    size_t part = 0;
    for (const std::string& in : node.inputs)
      if (const auto it = made.find(in); it != made.end()) part = std::max(part, it->second);
    if (std::find(layers.begin(), layers.end(), node.name) != layers.end()) ++part;
    part_of.push_back(part);
    parts = std::max(parts, part + 1);
    for (const std::string& out : node.outputs) made[out] = part;
    for (const std::string& in : node.inputs) last[in] = std::max(last[in], part);
  }
  for (const ValueInfo& out : graph.outputs) last[out.name] = parts;
  std::vector<Graph> cut(parts);
  std::vector<std::set<std::string>> inputs(parts);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    Graph& g = cut[part_of[i]];
    const Node& node = graph.nodes[i];
    g.nodes.push_back(node);
    for (const std::string& in : node.inputs) {
      if (const Tensor* t = graph.Initializer(in)) {
        g.initializers[in] = *t;
        continue;
      }
      const auto it = made.find(in);
      if (in.empty() || (it != made.end() && it->second == part_of[i])) continue;
      if (!inputs[part_of[i]].insert(in).second) continue;
      ValueInfo info{in, DType::kFloat32, {}, {}, false};
      for (const ValueInfo& given : graph.inputs)
        if (given.name == in) info = given;
      g.inputs.push_back(info);
    }
    for (const std::string& out : node.outputs)
      if (const auto it = last.find(out); it != last.end() && it->second > part_of[i])
        g.outputs.push_back({out});
  }
  return cut;
}

namespace {

// One block: its parts in turn, over all windows.
class BlockRun {
 public:
  BlockRun(Graph graph, std::vector<Tensor> x, const Threads& threads, const SequentialSteps& steps)
      : graph_(std::move(graph)), threads_(threads), steps_(steps), live_(x.size()) {
    for (size_t i = 0; i < x.size(); ++i) live_[i] = BlockInputs(x[i]);
  }

  std::vector<Tensor> Run() {
    std::vector<Graph> parts = CutBefore(graph_, LinearLayers(graph_));
    for (size_t i = 0; i < parts.size(); ++i) {
      RunPart(parts[i], std::span(parts).subspan(i + 1));
      if (i + 1 < parts.size()) QuantizeLayers(parts[i + 1]);
    }
    std::vector<Tensor> y;
    for (TensorMap& values : live_) y.push_back(values.at(graph_.outputs[0].name));
    return y;
  }
  const Graph& graph() const { return graph_; }

 private:
  // Afterwards only what later parts read is kept.
  void RunPart(const Graph& part, std::span<const Graph> later) {
    std::set<std::string> read{graph_.outputs[0].name};
    for (const Graph& g : later)
      for (const ValueInfo& in : g.inputs) read.insert(in.name);
    const Session session(part, {});
    threads_.Each(live_.size(), [&](size_t i, size_t) {
      TensorMap inputs;
      for (const ValueInfo& in : part.inputs) inputs[in.name] = live_[i].at(in.name);
      const std::vector<Tensor> made = session.Run(inputs);
      for (size_t k = 0; k < made.size(); ++k) live_[i][part.outputs[k].name] = made[k];
      std::erase_if(live_[i], [&](const auto& v) { return !read.contains(v.first); });
    });
  }

  // Layers that read the same value share its Hessian.
  void QuantizeLayers(Graph& part) {
    std::map<std::string, std::vector<const Node*>> readers;
    for (const std::string& name : LinearLayers(part))
      for (const Node& node : part.nodes)
        if (node.name == name) readers[node.inputs[0]].push_back(&node);
    for (const auto& [value, layers] : readers) {
      if (!live_[0].contains(value)) continue;
      Hessian h(live_[0].at(value).dim(1));
      for (const TensorMap& values : live_) h.Add(values.at(value), threads_);
      for (const Node* layer : layers) {
        Tensor& weight = part.initializers.at(layer->inputs[1]);
        weight = steps_.quantize(*layer, weight, h);
        graph_.initializers.at(layer->inputs[1]) = weight;
      }
    }
  }

  Graph graph_;
  const Threads& threads_;
  const SequentialSteps& steps_;
  std::vector<TensorMap> live_;  // by window
};

}  // namespace

void QuantizeBlocks(const LanguageModel& model, int64_t first, std::vector<Tensor> x,
                    const Threads& threads, const SequentialSteps& steps) {
  for (int64_t block = first; block < model.config().layers; ++block) {
    BlockRun run(model.Block(block), std::move(x), threads, steps);
    x = run.Run();
    if (steps.done) steps.done(block, run.graph(), x);
  }
}

}  // namespace mezzo
