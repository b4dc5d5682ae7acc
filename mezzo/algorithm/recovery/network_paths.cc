#include "mezzo/algorithm/recovery/network_paths.h"

#include <algorithm>
#include <cmath>

#include "mezzo/tensor/arithmetic.h"

namespace mezzo {
namespace {

Tensor RowsOf(const Node& node, const Tensor& weight) {
  const WeightRows rows(node, weight);
  Tensor matrix(DType::kFloat32, {rows.channels, rows.depth});
  for (int64_t o = 0; o < rows.channels; ++o)
    for (int64_t k = 0; k < rows.depth; ++k)
      matrix.data<float>()[o * rows.depth + k] = weight.data<float>()[rows.At(o, k)];
  return matrix;
}

// A matrix of the rows of `weight`, laid out as that is.
Tensor FromRows(const Node& node, const Tensor& weight, const Tensor& matrix) {
  const WeightRows rows(node, weight);
  Tensor laid_out(DType::kFloat32, weight.shape());
  for (int64_t o = 0; o < rows.channels; ++o)
    for (int64_t k = 0; k < rows.depth; ++k)
      laid_out.data<float>()[rows.At(o, k)] = matrix.data<float>()[o * rows.depth + k];
  return laid_out;
}

class PathAdder {
 public:
  PathAdder(Graph& graph, const Node& layer, const LowRank& path)
      : graph_(graph), layer_(layer), path_(path) {}

  // Reads what the layer reads and gives what is to be added to its output.
  std::string Add() {
    const std::string op = layer_.Is("Conv") ? "Conv" : "MatMul";
    const PathWeights w = ToWeights(layer_, graph_.Initializer(layer_.inputs[1])->shape(), path_);
    const std::string a = Constant("A", w.a), b = Constant("B", w.b);
    const std::string narrow = Append(PathNode(layer_.name, "A"), op, {layer_.inputs[0], a});
    if (op == "Conv") graph_.nodes.back().attributes = layer_.attributes;
    return Append(PathNode(layer_.name, "B"), op, {narrow, b});
  }

 private:
  std::string Append(const std::string& name, const std::string& op,
                     std::vector<std::string> inputs) {
    graph_.nodes.push_back({op, "", name, std::move(inputs), {name}, {}});
    return name;
  }

  std::string Constant(const char* a_or_b, const Tensor& value) {
    const std::string name = PathNode(layer_.name, a_or_b) + "_weight";
    graph_.initializers[name] = Cast(value, DType::kBFloat16);
    const std::string cast = Append(PathWeight(layer_.name, a_or_b), "Cast", {name});
    graph_.nodes.back().attributes["to"] = static_cast<int64_t>(DType::kFloat32);
    return cast;
  }

  Graph& graph_;
  const Node& layer_;
  const LowRank& path_;
};

}  // namespace

bool TakesPath(const Node& node) { return !node.Is("Conv") || node.Int("group", 1) == 1; }

std::string PathSum(const std::string& layer) { return layer + "_recovered"; }
std::string PathNode(const std::string& layer, const char* a_or_b) {
  return Cat(layer, "_recovery_", a_or_b);
}
std::string PathWeight(const std::string& layer, const char* a_or_b) {
  return PathNode(layer, a_or_b) + "_weight_float";
}

bool HasPaths(const Graph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(),
                     [](const Node& n) { return n.name.ends_with(PathNode("", "A")); });
}

PathWeights ToWeights(const Node& layer, const Shape& weight, const LowRank& path) {
  if (!layer.Is("Conv")) return {Transposed(path.a), Transposed(path.b)};
  Shape shape = weight;
  shape[0] = path.rank();
  Tensor a(DType::kFloat32, shape);
  const WeightRows rows(layer, a);
  for (int64_t r = 0; r < rows.channels; ++r)
    for (int64_t k = 0; k < rows.depth; ++k)
      a.data<float>()[rows.At(r, k)] = path.a.data<float>()[r * rows.depth + k];
  shape.assign(weight.size(), 1);
  shape[0] = path.b.dim(0), shape[1] = path.rank();
  return {a, path.b.Reshape(shape)};
}

LowRank FromWeights(const Node& layer, const PathWeights& w) {
  if (!layer.Is("Conv")) return {Transposed(w.a), Transposed(w.b)};
  return {RowsOf(layer, w.a), w.b.Reshape({w.b.dim(0), w.b.dim(1)})};
}

LowRank FitPath(const Node& node, const Tensor& error, const RoundingBasis& basis, int64_t rank,
                const Threads& threads) {
  return RoundToBFloat16(FitLowRank(RowsOf(node, error), basis.hessians.at(0), rank, threads));
}

Tensor PathProduct(const Node& node, const Tensor& weight, const LowRank& path,
                   const Threads& threads) {
  return FromRows(node, weight, Product(path, threads));
}

RoundedWithPath QuantizeWithPath(const Node& node, const Tensor& weight, const WeightFormat& format,
                                 int64_t group_size, bool limit_pairs, const RoundingBasis* basis,
                                 const PathChoice& choice, const Threads& threads) {
  const Tensor rows = RowsOf(node, weight);
  const int64_t d = rows.dim(1);
  std::vector<float> h(d * d);
  for (int64_t i = 0; i < d; ++i) h[i * (d + 1)] = 1;
  if (basis) h = basis->hessians.at(0);
  const PackedB packed(h.data(), d, d, d, 1, threads);
  const std::vector<float> weighed = Weighed(choice.fit, h);
  RoundedWithPath best;
  Tensor left = weight;  // for the codes to stand for
  double least = INFINITY;
  for (int i = 0; i <= choice.alternations; ++i) {
    RoundedWithPath r;
    r.q = QuantizeWeights(node, left, format, group_size, limit_pairs, basis, threads);
    const Tensor error = Difference(rows, RowsOf(node, DequantizeWeights(node, weight, r.q)));
    r.path = RoundToBFloat16(FitLowRank(error, weighed, choice.rank, threads));
    const Tensor product = Product(r.path, threads);
    const double loss = WeightedSquares(Difference(error, product), packed, threads);
    if (loss >= least) break;
    least = loss;
    best = std::move(r);
    left = Difference(weight, FromRows(node, weight, product));
  }
  return best;
}

void AddPaths(Graph& graph, const Plan& plan) {
  std::vector<size_t> layers;
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    if (plan.HasPath(graph.nodes[i].name)) layers.push_back(i);
  if (layers.empty()) return;
  for (const size_t i : layers) {
    const Node layer = graph.nodes[i];
    const LowRank& path = plan.nodes.at(layer.name).path;
    const Tensor* weight = graph.Initializer(layer.inputs.at(1));
    Require(weight && TakesPath(layer), "plan: node ", layer.name, " cannot have a path");
    const WeightRows rows(layer, *weight);
    Require(path.a.dim(1) == rows.depth && path.b.dim(0) == rows.channels, "plan: node ",
            layer.name, " has a path of ", path.a.dim(1), " inputs and ", path.b.dim(0),
            " outputs, needs ", rows.depth, " and ", rows.channels);
    PathAdder adder(graph, layer, path);
    const std::string added = adder.Add(), coded = layer.outputs[0] + "_coded";
    graph.nodes[i].outputs[0] = coded;
    graph.nodes.push_back({"Add", "", PathSum(layer.name), {coded, added}, {layer.outputs[0]}, {}});
  }
  SortNodes(graph);
}

}  // namespace mezzo
