#include "mezzo/algorithm/equalize_sources.h"

#include <algorithm>
#include <map>

#include "mezzo/algorithm/sites.h"

namespace mezzo {
namespace {

class Finder {
 public:
  Finder(const Graph& graph, const std::set<std::string>& quantized)
      : graph_(graph), sites_(FindSites(graph, quantized)), quantized_(quantized) {}

  EqualizationSources Run() {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) Visit(graph_.nodes[i], i);
    for (const ValueInfo& out : graph_.outputs) Pin(out.name);
    for (const auto& [value, list] : sources_of_)
      if (sites_.root.contains(value) && !list.empty()) found_.quantized.push_back({value, list});
    return std::move(found_);
  }

 private:
  size_t NewSource(const std::string& value, int64_t channels, bool copied) {
    found_.sources.push_back({value, channels, copied, false, false, false, found_.sources.size()});
    return found_.sources.size() - 1;
  }

  void Pin(const std::string& value) {
    const auto it = sources_of_.find(value);
    if (it == sources_of_.end()) return;
    for (const size_t s : it->second) found_.sources[s].pinned = true;
  }

  void Join(const std::vector<size_t>& list) {
    for (const size_t s : list) found_.sources[found_.Root(s)].parent = found_.Root(list[0]);
  }

  void Visit(const Node& node, size_t index) {
    LayerChannels layer;
    if (LayerChannels::Of(graph_, node, &layer)) return VisitLayer(node, layer);
    if (KeepsChannelScales(graph_, node)) return PassOn(node);
    for (const std::string& in : node.inputs) {
      if (sites_.integer_nodes.contains(index)) Pin(in);
      if (const auto it = sources_of_.find(in); it != sources_of_.end())
        for (const size_t s : it->second) found_.sources[s].restored = true;
    }
    for (const std::string& captured : Captures(node)) Pin(captured);
  }

  void VisitLayer(const Node& node, const LayerChannels& layer) {
    const std::string& x = node.inputs[0];
    for (size_t i = 1; i < node.inputs.size(); ++i) Pin(node.inputs[i]);
    // a float value that is coded for layers only here
    if (!sources_of_.contains(x) && quantized_.contains(node.name) && sites_.root.contains(x) &&
        sites_.root.at(x) == x && !sites_.integer_made.contains(x) && !IsInput(x))
      sources_of_[x] = {NewSource(x, layer.inputs, true)};
    if (const auto it = sources_of_.find(x); it != sources_of_.end()) {
      found_.readers.push_back({&node, layer, it->second});
      Join(it->second);
      for (const size_t s : it->second)
        if (found_.sources[s].copied && found_.sources[s].channels != layer.inputs)
          found_.sources[s].pinned = true;
    }
    if (layer.convolution && quantized_.contains(node.name))
      sources_of_[node.outputs[0]] = {NewSource(node.outputs[0], layer.outputs, false)};
  }

  void PassOn(const Node& node) {
    std::vector<size_t> all;
    bool every = true;
    for (size_t i = 0; i < (node.Is("Concat") ? node.inputs.size() : 1); ++i) {
      const auto it = sources_of_.find(node.inputs[i]);
      every &= it != sources_of_.end() && !found_.sources[it->second[0]].copied;
      if (it != sources_of_.end()) all.insert(all.end(), it->second.begin(), it->second.end());
    }
    if (every) {
      for (const size_t s : all) found_.sources[s].clipped |= node.Is("Clip");
      Join(all);
      sources_of_[node.outputs[0]] = all;
      return;
    }
    for (const std::string& in : node.inputs) Pin(in);
  }

  bool IsInput(const std::string& value) const {
    return std::any_of(graph_.inputs.begin(), graph_.inputs.end(),
                       [&](const ValueInfo& in) { return in.name == value; });
  }

  EqualizationSources found_;
  const Graph& graph_;
  const Sites sites_;
  const std::set<std::string>& quantized_;
  std::map<std::string, std::vector<size_t>> sources_of_;
};

}  // namespace

EqualizationSources FindEqualizationSources(const Graph& graph,
                                            const std::set<std::string>& integer_nodes) {
  return Finder(graph, integer_nodes).Run();
}

}  // namespace mezzo
