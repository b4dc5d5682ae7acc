#include "mezzo/algorithm/llm/sequential.h"

#include <algorithm>
#include <map>
#include <set>
#include <span>

#include "mezzo/runtime/decoder/linear.h"

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
  BlockRun(const Graph& graph, std::vector<Tensor> x, const LlmQuantization& q,
           const Threads& threads, const SequentialSteps& steps)
      : graph_(graph), q_(q), threads_(threads), steps_(steps), live_(x.size()) {
    for (size_t i = 0; i < x.size(); ++i) live_[i] = BlockInputs(x[i]);
  }

  std::vector<Tensor> Run() {
    std::vector<Graph> parts = CutBefore(graph_, LinearLayers(graph_));
    std::vector<Linear> linears;
    for (size_t i = 0; i < parts.size(); ++i) {
      RunPart(parts[i], linears, std::span(parts).subspan(i + 1));
      if (i + 1 < parts.size()) linears = QuantizeLayers(parts[i + 1]);
    }
    std::vector<Tensor> y;
    for (TensorMap& values : live_) y.push_back(values.at(graph_.outputs[0].name));
    return y;
  }

 private:
  // A quantized layer in place of its node.
  struct Linear {
    std::string in, out;
    JoinedLinears run;

    Tensor Run(const Tensor& x) const {
      Tensor y(DType::kFloat32, {x.dim(0), run.outputs()});
      run.Run(x.data<float>(), x.dim(0), y.data<float>(), {});
      return y;
    }
  };

  // Afterwards only what later parts read is kept.
  void RunPart(const Graph& part, const std::vector<Linear>& linears,
               std::span<const Graph> later) {
    std::set<std::string> read{graph_.outputs[0].name};
    for (const Graph& g : later)
      for (const ValueInfo& in : g.inputs) read.insert(in.name);
    const Session session(part, {});
    threads_.Each(live_.size(), [&](size_t i, size_t) {
      TensorMap inputs;
      for (const Linear& l : linears) inputs[l.out] = l.Run(live_[i].at(l.in));
      for (const ValueInfo& in : part.inputs)
        if (!inputs.contains(in.name)) inputs[in.name] = live_[i].at(in.name);
      const std::vector<Tensor> made = session.Run(inputs);
      for (size_t k = 0; k < made.size(); ++k) live_[i][part.outputs[k].name] = made[k];
      std::erase_if(live_[i], [&](const auto& v) { return !read.contains(v.first); });
    });
  }

  // Takes the layers out of the part. Those that read the same value share its Hessian.
  std::vector<Linear> QuantizeLayers(Graph& part) {
    std::vector<Linear> linears;
    std::map<std::string, Hessian> read;
    const std::vector<std::string> names = LinearLayers(part);
    const std::set<std::string> layers(names.begin(), names.end());
    for (const Node& node : part.nodes) {
      if (!layers.contains(node.name)) continue;
      const std::string &in = node.inputs[0], &out = node.outputs[0];
      if (!read.contains(in)) read.emplace(in, HessianOf(in));
      linears.push_back({in, out, Quantize(part, node, read.at(in))});
      part.inputs.push_back({out, DType::kFloat32, {}, {}, false});
    }
    std::erase_if(part.nodes, [&](const Node& node) { return layers.contains(node.name); });
    return linears;
  }

  Hessian HessianOf(const std::string& value) const {
    Hessian h(live_[0].at(value).dim(1));
    for (const TensorMap& values : live_) h.Add(values.at(value), threads_);
    return h;
  }

  JoinedLinears Quantize(const Graph& part, const Node& layer, const Hessian& h) const {
    QuantizedLinear made = steps_.quantize(layer, part.initializers.at(layer.inputs[1]), h);
    JoinedLinears::Weights w{std::move(made.matrix), {}, made.path ? &*made.path : nullptr};
    if (layer.inputs.size() > 2) w.bias = part.initializers.at(layer.inputs[2]);
    return {{std::move(w)}, h.depth(), &q_, threads_};
  }

  const Graph& graph_;
  const LlmQuantization& q_;
  const Threads& threads_;
  const SequentialSteps& steps_;
  std::vector<TensorMap> live_;  // by window
};

}  // namespace

void QuantizeBlocks(const LanguageModel& model, int64_t first, std::vector<Tensor> x,
                    const LlmQuantization& q, const Threads& threads,
                    const SequentialSteps& steps) {
  for (int64_t block = first; block < model.config().layers; ++block) {
    const Graph graph = model.Block(block);
    x = BlockRun(graph, std::move(x), q, threads, steps).Run();
    if (steps.done) steps.done(block, graph, x);
  }
}

}  // namespace mezzo
