#include "mezzo/algorithm/tables.h"

#include <algorithm>
#include <array>
#include <cfloat>
#include <cmath>

#include "mezzo/tensor/row_codes.h"

namespace mezzo {
namespace {

constexpr int64_t kSmallest = 1 << 16;

bool ReadsRows(const Node& node, const std::string& table) {
  return node.Is("Gather") && node.Int("axis", 0) == 0 && node.inputs[0] == table &&
         node.inputs[1] != table;
}

std::string CodesName(const std::string& table) { return table + "_quantized"; }

float Error(const NearestLevel& nearest, float scale, std::span<const float> row) {
  const float inverse = 1 / scale;
  float sum = 0;
  for (const float x : row) {
    const float e = x - scale * static_cast<float>(nearest(x * inverse));
    sum += e * e;
  }
  return sum;
}

// Levels of a narrow format; each row's scale brings a share of its largest value to the largest.
RowCodes RoundRowsNarrow(const Tensor& matrix, const WeightFormat& format) {
  constexpr std::array kShares{1.0f, 0.88f, 0.77f, 0.68f, 0.6f, 0.53f, 0.46f};
  RowCodes out{matrix.dim(0), matrix.dim(1), std::vector<int8_t>(matrix.numel()), {}};
  const std::vector<int8_t> levels = Levels(format);
  const NearestLevel nearest(levels);
  const auto largest = static_cast<float>(std::max(-levels.front(), int{levels.back()}));
  for (int64_t r = 0; r < out.rows; ++r) {
    const std::span<const float> row = matrix.span<float>().subspan(r * out.cols, out.cols);
    float amax = 0;
    for (const float x : row) {
      Require(std::isfinite(x), "row ", r, " is not finite");
      amax = std::max(amax, std::fabs(x));
    }
    float best = FLT_MIN, least = INFINITY;
    for (const float share : kShares) {
      const float scale = std::max(share * amax / largest, FLT_MIN);
      const float e = Error(nearest, scale, row);
      if (e < least) least = e, best = scale;
    }
    out.scales.push_back(best);
    for (int64_t i = 0; i < out.cols; ++i) out.codes[r * out.cols + i] = nearest(row[i] / best);
  }
  return out;
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

void StoreTable(Graph& graph, const std::string& table, const WeightFormat& format) {
  Require(FindTables(graph).contains(table), "plan: the model has no table ", table,
          " that only Gather reads");
  const std::string codes = FreshName(graph, CodesName(table)),
                    scales = FreshName(graph, table + "_scale");
  const Tensor& matrix = graph.initializers.at(table);
  const RowCodes rows = format.narrow() ? RoundRowsNarrow(matrix, format) : RoundRows(matrix);
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

std::string TableCodes(const Graph& graph, const std::string& table) {
  for (const Node& node : graph.nodes) {
    if (!node.Is("Gather") || !node.inputs[0].starts_with(CodesName(table))) continue;
    const Tensor* t = graph.Initializer(node.inputs[0]);
    if (t && t->dtype() == DType::kInt8 && t->rank() == 2) return node.inputs[0];
  }
  return {};
}

}  // namespace mezzo
