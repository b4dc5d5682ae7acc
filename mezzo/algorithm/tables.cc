#include "mezzo/algorithm/tables.h"

#include <algorithm>
#include <cmath>

#include "mezzo/runtime/session.h"

namespace mezzo {
namespace {

constexpr int64_t kSmallest = 1 << 16;

bool ReadsRows(const Node& node, const std::string& table) {
  return node.Is("Gather") && node.Int("axis", 0) == 0 && node.inputs[0] == table &&
         node.inputs[1] != table;
}

// Rows of int8 codes, and the scale of each row as a column.
std::pair<Tensor, Tensor> Encode(const Tensor& table) {
  const int64_t rows = table.dim(0), cols = table.dim(1);
  Tensor codes(DType::kInt8, table.shape()), scales(DType::kFloat32, {rows, 1});
  for (int64_t r = 0; r < rows; ++r) {
    const float* x = table.data<float>() + r * cols;
    float top = 0;
    for (int64_t c = 0; c < cols; ++c) top = std::max(top, std::fabs(x[c]));
    const float scale = std::max(top / 127, __FLT_MIN__);
    scales.data<float>()[r] = scale;
    for (int64_t c = 0; c < cols; ++c)
      codes.data<int8_t>()[r * cols + c] = static_cast<int8_t>(std::nearbyint(x[c] / scale));
  }
  return {std::move(codes), std::move(scales)};
}

}  // namespace

std::set<std::string> FindTables(const Graph& graph) {
  const Uses uses(graph);
  std::set<std::string> found;
  for (const auto& constant : graph.initializers) {
    const std::string& name = constant.first;
    const Tensor& t = constant.second;
    if (t.dtype() != DType::kFloat32 || t.rank() != 2 || t.numel() < kSmallest) continue;
    const auto users = uses.consumers.find(name);
    if (users == uses.consumers.end() || uses.count(name) != users->second.size()) continue;
    if (std::all_of(users->second.begin(), users->second.end(),
                    [&](size_t i) { return ReadsRows(graph.nodes[i], name); }))
      found.insert(name);
  }
  return found;
}

void StoreTable(Graph& graph, const std::string& table) {
  Require(FindTables(graph).contains(table), "plan: the model has no table ", table,
          " that only Gather reads");
  const std::string codes = FreshName(graph, table + "_quantized"),
                    scales = FreshName(graph, table + "_scale");
  std::tie(graph.initializers[codes], graph.initializers[scales]) =
      Encode(graph.initializers.at(table));
  std::vector<Node> nodes;
  for (const Node& node : graph.nodes) {
    if (!ReadsRows(node, table)) {
      nodes.push_back(node);
      continue;
    }
    const std::string y = node.outputs[0], ids = node.inputs[1];
    const std::string row = FreshName(graph, y + "_quantized"),
                      real = FreshName(graph, y + "_codes"), scale = FreshName(graph, y + "_scale");
    nodes.push_back({"Gather", "", row, {codes, ids}, {row}, {}});
    nodes.push_back({"Cast", "", real, {row}, {real}, {{"to", int64_t{1}}}});
    nodes.push_back({"Gather", "", scale, {scales, ids}, {scale}, {}});
    nodes.push_back({"Mul", "", node.name, {real, scale}, {y}, {}});
  }
  graph.nodes = std::move(nodes);
  graph.initializers.erase(table);
}

}  // namespace mezzo
