#include "mezzo/algorithm/tables.h"

#include <algorithm>

#include "mezzo/tensor/row_codes.h"

namespace mezzo {
namespace {

constexpr int64_t kSmallest = 1 << 16;

bool ReadsRows(const Node& node, const std::string& table) {
  return node.Is("Gather") && node.Int("axis", 0) == 0 && node.inputs[0] == table &&
         node.inputs[1] != table;
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
  const RowCodes rows = RoundRows(graph.initializers.at(table));
  graph.initializers[codes] = Tensor::Of(rows.codes, {rows.rows, rows.cols});
  graph.initializers[scales] = Tensor::Of(rows.scales, {rows.rows, 1});
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
