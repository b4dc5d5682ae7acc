// The one intermediate representation: ONNX semantics, default-domain operators at opset 21 to 23
// (older models are brought up to that when they are read: see upgrade.h), values named by strings.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "mezzo/tensor/tensor.h"

namespace mezzo {

struct Graph;

using Attribute =
    std::variant<int64_t, float, std::string, std::vector<int64_t>, std::vector<float>,
                 std::vector<std::string>, Tensor, std::shared_ptr<const Graph>>;

struct Node {
  std::string op_type;
  std::string domain;  // "" is ONNX's own; "mezzo" holds the integer operators that lowering makes
  std::string name;    // never empty after reading: made from the first output if the file has none
  std::vector<std::string> inputs, outputs;  // "" is an absent optional one
  std::map<std::string, Attribute> attributes;

  bool Is(std::string_view op) const { return domain.empty() && op_type == op; }
  bool HasInput(size_t i) const { return i < inputs.size() && !inputs[i].empty(); }
  bool Has(const std::string& attribute) const { return attributes.contains(attribute); }

  // The attribute, or the fallback if the node lacks it. Throws UsageError naming the node if it
  // has another type.
  int64_t Int(const std::string& name, int64_t fallback) const;
  float Float(const std::string& name, float fallback) const;
  std::string String(const std::string& name, const std::string& fallback) const;
  std::vector<int64_t> Ints(const std::string& name, std::vector<int64_t> fallback = {}) const;
  std::vector<float> Floats(const std::string& name, std::vector<float> fallback = {}) const;
  const Tensor* TensorAttribute(const std::string& name) const;  // null if absent
  const Graph* Subgraph(const std::string& name) const;          // null if absent
};

// An input or output of the graph. A dimension is >= 0, or -1 with its name in dim_names.
struct ValueInfo {
  std::string name;
  DType dtype = DType::kNone;
  Shape shape;
  std::vector<std::string> dim_names;
  bool has_shape = false;
};

struct Graph {
  std::string name;
  std::vector<Node> nodes;  // in an order in which every value is made before it is used
  std::vector<ValueInfo> inputs, outputs;  // inputs without those that have an initializer
  std::map<std::string, Tensor> initializers;

  const Tensor* Initializer(const std::string& name) const {
    const auto it = initializers.find(name);
    return it == initializers.end() ? nullptr : &it->second;
  }
};

struct Model {
  Graph graph;
  std::string path;  // where it was read from, for messages
  std::string producer;
  int64_t opset = 21;                           // of the default domain, after upgrading
  int64_t original_opset = 0;                   // as the file said
  std::map<std::string, int64_t> other_opsets;  // other domains, by name
  std::map<std::string, std::string> metadata;
};

// Who makes and who uses each value of a graph (not of its subgraphs, though what these capture
// counts as used). Indexes point into graph.nodes and hold until nodes are added or removed.
struct Uses {
  explicit Uses(const Graph& graph);
  std::unordered_map<std::string, size_t> producer;
  std::unordered_map<std::string, std::vector<size_t>> consumers;
  std::unordered_map<std::string, bool> is_output;

  size_t count(const std::string& value) const;  // consumers, plus one if a graph output
};

// The names that a graph uses but does not define: what it captures from the graph around it.
std::vector<std::string> Captures(const Graph& graph);
// The same of all subgraphs of a node.
std::vector<std::string> Captures(const Node& node);

// Puts nodes in an order in which every value is made before it is used, keeping the present order
// where possible. Throws UsageError naming a node that is part of a cycle, or uses a value nobody
// makes.
void SortNodes(Graph& graph, const std::vector<std::string>& captured = {});

// A name not yet used by a value or a node of the graph, made from `stem`.
std::string FreshName(const Graph& graph, const std::string& stem);

}  // namespace mezzo
