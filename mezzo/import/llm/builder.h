// Graphs a line at a time.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "mezzo/graph/graph.h"

namespace mezzo {

class GraphBuilder {
 public:
  Graph graph;

  void Input(const std::string& name, DType type, Shape shape, std::vector<std::string> dims) {
    graph.inputs.push_back({name, type, std::move(shape), std::move(dims), true});
  }
  void Output(const std::string& value) { graph.outputs.push_back({value}); }
  std::string Constant(const std::string& name, Tensor t) {
    graph.initializers[name] = std::move(t);
    return name;
  }
  // A node with one output, called as the node unless it is named.
  std::string Add(const std::string& op, const std::string& name, std::vector<std::string> inputs,
                  std::map<std::string, Attribute> attributes = {}, std::string output = "") {
    if (output.empty()) output = name;
    graph.nodes.push_back({op, "", name, std::move(inputs), {output}, std::move(attributes)});
    return output;
  }
};

}  // namespace mezzo
