#include "mezzo/algorithm/recovery/network_paths.h"

#include <cmath>

#include "mezzo/algorithm/recovery/low_rank_fit.h"
#include "mezzo/tensor/difference.h"

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

// What `weight` is without a matrix of its rows.
Tensor LessRows(const Node& node, const Tensor& weight, const Tensor& matrix) {
  const WeightRows rows(node, weight);
  Tensor left = weight.Clone();
  for (int64_t o = 0; o < rows.channels; ++o)
    for (int64_t k = 0; k < rows.depth; ++k)
      left.data<float>()[rows.At(o, k)] -= matrix.data<float>()[o * rows.depth + k];
  return left;
}

Tensor Transposed(const Tensor& matrix) {
  const int64_t rows = matrix.dim(0), columns = matrix.dim(1);
  Tensor t(DType::kFloat32, {columns, rows});
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      t.data<float>()[c * rows + r] = matrix.data<float>()[r * columns + c];
  return t;
}

class PathAdder {
 public:
  PathAdder(Graph& graph, const Node& layer, const LowRank& path)
      : graph_(graph), layer_(layer), path_(path) {}

  // Reads what the layer reads and gives what is to be added to its output.
  std::string Add() {
    const bool conv = layer_.Is("Conv");
    const std::string a = Constant("A", conv ? Windows() : Transposed(path_.a));
    const std::string b = Constant(
        "B", conv ? path_.b.Reshape({path_.b.dim(0), path_.rank(), 1, 1}) : Transposed(path_.b));
    const std::string narrow = Append("A", conv ? "Conv" : "MatMul", {layer_.inputs[0], a});
    if (conv) graph_.nodes.back().attributes = layer_.attributes;
    return Append("B", conv ? "Conv" : "MatMul", {narrow, b});
  }

  std::string Append(const std::string& stem, const std::string& op,
                     std::vector<std::string> inputs) {
    const std::string name = Cat(layer_.name, "_recovery_", stem);
    graph_.nodes.push_back({op, "", name, std::move(inputs), {name}, {}});
    return name;
  }

 private:
  // A as the weight of a convolution.
  Tensor Windows() const {
    Shape shape = graph_.Initializer(layer_.inputs[1])->shape();
    shape[0] = path_.rank();
    Tensor a(DType::kFloat32, shape);
    const WeightRows rows(layer_, a);
    for (int64_t r = 0; r < rows.channels; ++r)
      for (int64_t k = 0; k < rows.depth; ++k)
        a.data<float>()[rows.At(r, k)] = path_.a.data<float>()[r * rows.depth + k];
    return a;
  }

  std::string Constant(const std::string& stem, const Tensor& value) {
    const std::string name = Cat(layer_.name, "_recovery_weight_", stem);
    graph_.initializers[name] = Cast(value, DType::kBFloat16);
    const std::string cast = Append(Cat("float_", stem), "Cast", {name});
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

RoundedWithPath QuantizeWithPath(const Node& node, const Tensor& weight, const WeightFormat& format,
                                 int64_t group_size, bool limit_pairs, const RoundingBasis* basis,
                                 int64_t rank, int alternations, const Threads& threads) {
  const Tensor rows = RowsOf(node, weight);
  const int64_t d = rows.dim(1);
  std::vector<float> h(d * d);
  for (int64_t i = 0; i < d; ++i) h[i * (d + 1)] = 1;
  if (basis) h = basis->hessians.at(0);
  const PackedB packed(h.data(), d, d, d, 1, threads);
  RoundedWithPath best;
  Tensor left = weight;  // for the codes to stand for
  double least = INFINITY;
  for (int i = 0; i <= alternations; ++i) {
    RoundedWithPath r;
    r.q = QuantizeWeights(node, left, format, group_size, limit_pairs, basis, threads);
    const Tensor error = Difference(rows, RowsOf(node, DequantizeWeights(node, weight, r.q)));
    r.path = RoundToBFloat16(FitLowRank(error, h, rank, threads));
    const Tensor product = Product(r.path, threads);
    const double loss = WeightedSquares(Difference(error, product), packed, threads);
    if (loss >= least) break;
    least = loss;
    best = std::move(r);
    left = LessRows(node, weight, product);
  }
  return best;
}

void AddPaths(Graph& graph, const Plan& plan) {
  const std::vector<Node> layers = graph.nodes;
  for (size_t i = 0; i < layers.size(); ++i) {
    const auto it = plan.nodes.find(layers[i].name);
    if (it == plan.nodes.end() || !it->second.path.a.defined()) continue;
    const LowRank& path = it->second.path;
    const Node layer = layers[i];
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
