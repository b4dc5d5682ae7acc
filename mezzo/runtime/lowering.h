// The inside of LowerToIntegers: a graph being rewritten, and what is known of its values.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "mezzo/graph/graph.h"
#include "mezzo/runtime/lower.h"

namespace mezzo {

// 8-bit codes that stand for a float value.
struct CodeValue {
  std::string value;  // of the codes
  DType dtype = DType::kUInt8;
  float scale = 1;
  int32_t zero_point = 0;

  bool SameGrid(const CodeValue& o) const {
    return dtype == o.dtype && scale == o.scale && zero_point == o.zero_point;
  }
  int32_t qmin() const { return dtype == DType::kInt8 ? -128 : 0; }
  int32_t qmax() const { return dtype == DType::kInt8 ? 127 : 255; }
};

// Constant codes with a grid for all or one per channel of an axis.
struct WeightCodes {
  Tensor codes;  // uint8 or int8
  std::vector<float> scale;
  std::vector<int32_t> zero_point;  // as many as scales; empty if all are 0
  size_t axis = 0;                  // where scale has several values
};

// The QuantizeLinear that ends a pattern: its grid, narrowed by the Relu and Clip before it.
struct QuantizedEnd {
  size_t node = 0;
  CodeValue y;  // y.value is what the node makes
  int32_t lo = 0, hi = 0;
  std::string x;  // the value before Relu and Clip
  bool narrowed() const { return lo > y.qmin() || hi < y.qmax(); }
};

// Where a value is only rearranged before it is quantized, it is quantized first, which changes no
// code: so a product makes codes, and codes are what is rearranged.
void QuantizeBeforeMoves(Graph& graph);

class Lowering {
 public:
  Lowering(const Graph& graph, LowerReport& report);
  Graph Run();

 private:
  // lowering_values.cc: what values are.
  const Tensor* FloatConstant(const std::string& value);  // folds small chains of constants
  std::optional<CodeValue> GridOf(const Node& q_or_dq);
  std::optional<CodeValue> CodesOf(const std::string& value);
  std::optional<WeightCodes> WeightsOf(const std::string& value);
  std::optional<QuantizedEnd> EndOf(size_t node);
  const Node* Producer(const std::string& value) const;
  Tensor Evaluate(const std::string& value);  // absent if it is no constant

  // lowering_moves.cc: operators that only move codes, done on codes.
  bool MoveCodes(const Node& node);

  // lowering_products.cc
  bool LowerConv(const Node& node, const QuantizedEnd* end);
  bool LowerMatMul(const Node& node, const QuantizedEnd* end, const Node* bias_add);
  bool LowerGemm(const Node& node, const QuantizedEnd* end);
  std::vector<double> BiasOf(const std::string& value, size_t cols);
  bool AddProductOutput(Node& made, const Node& source, const CodeValue& x,
                        const std::vector<float>& w_scale, const std::string& bias, size_t cols,
                        size_t depth, const QuantizedEnd* end);

  // lowering_tables.cc
  bool LowerTable(const QuantizedEnd& end);
  bool HasChannels(std::string value, int64_t channels, size_t axis_from_back);

  // lowering_elementwise.cc
  bool LowerBinary(const Node& node, const QuantizedEnd& end);
  bool LowerConcat(const Node& node, const QuantizedEnd& end);
  bool LowerAverage(const Node& node, const QuantizedEnd& end);

  // lower.cc
  void LowerEnds();
  bool LowerEnd(const QuantizedEnd& end);
  void LowerFloatOutputs();
  void Commit();
  void ReportKept();
  bool Refuse(const Node& node, const std::string& reason);
  std::string Fresh(const std::string& stem);
  Node Make(const std::string& op, const Node& source, std::vector<std::string> inputs,
            const std::string& output);
  // The new node runs where the one now looked at stands.
  void Emit(Node node);
  std::vector<LowerReport::Source> ReplacedBy(const Node& made) const;
  void SetOutput(Node& made, const QuantizedEnd& end);

  Graph graph_;
  LowerReport& report_;
  std::optional<Uses> uses_;
  size_t at_ = 0;                            // the node now looked at
  std::vector<std::vector<Node>> inserted_;  // before each node
  std::vector<char> removed_;                // per node
  std::unordered_set<std::string> names_;    // values and nodes in use
  std::unordered_map<std::string, std::optional<CodeValue>> codes_;
  // The float values that made codes stand for, where the codes have no name in the graph.
  std::unordered_map<std::string, std::string> float_of_;
  std::unordered_map<std::string, Tensor> constants_;
  std::map<std::string, std::string> reasons_;  // by node name
};

}  // namespace mezzo
