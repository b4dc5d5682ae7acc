// ONNX's own conformance tests: every folder below MEZZO_ONNX_TESTS that holds a model.onnx is run
// on its test data. `python tools/onnx_node_tests.py OUT` writes such folders.
//
// Compared as ONNX does: |got - want| <= 1e-7 + 1e-3 |want|, same type, same shape.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <set>

#include "mezzo/import/onnx_reader.h"
#include "mezzo/runtime/session.h"

namespace mezzo {
namespace {

namespace fs = std::filesystem;

// What Mezzo undertakes to run. Tests with any other operator that it lacks are out of scope.
const std::set<std::string>& ListedOperators() {
  static const auto* const names = new std::set<std::string>{
      // elementwise, activations, logic
      "Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh", "BitShift",
      "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "Cast", "CastLike", "Ceil", "Celu",
      "Clip", "Cos", "Cosh", "Div", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu", "Greater",
      "GreaterOrEqual", "HardSigmoid", "HardSwish", "IsInf", "IsNaN", "LeakyRelu", "Less",
      "LessOrEqual", "Log", "Max", "Mean", "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu",
      "Pow", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh",
      "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tan", "Tanh", "ThresholdedRelu",
      "Where", "Xor",
      // reductions, softmax
      "ArgMax", "ArgMin", "CumProd", "CumSum", "Hardmax", "LogSoftmax", "NegativeLogLikelihoodLoss",
      "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
      "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Softmax",
      "SoftmaxCrossEntropyLoss",
      // shapes, indices, generated tensors
      "BlackmanWindow", "Compress", "Concat", "Constant", "ConstantOfShape", "DFT", "DepthToSpace",
      "Dropout", "Einsum", "Expand", "EyeLike", "Flatten", "Gather", "GatherElements", "GatherND",
      "HammingWindow", "HannWindow", "Identity", "MelWeightMatrix", "NonMaxSuppression", "NonZero",
      "OneHot", "Pad", "Range", "Reshape", "Resize", "ReverseSequence", "STFT", "ScatterElements",
      "ScatterND", "Shape", "Size", "Slice", "SpaceToDepth", "Split", "Squeeze", "TensorScatter",
      "Tile", "TopK", "Transpose", "Trilu", "Unique", "Unsqueeze",
      // networks
      "Attention", "AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "GRU", "Gemm",
      "GlobalAveragePool", "GlobalMaxPool", "GroupNormalization", "InstanceNormalization", "LRN",
      "LSTM", "LayerNormalization", "LpNormalization", "LpPool", "MatMul", "MaxPool",
      "MeanVarianceNormalization", "RMSNormalization", "RNN", "RotaryEmbedding", "GlobalLpPool",
      "Upsample",
      // control flow, quantization
      "ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "If", "Loop", "MatMulInteger",
      "QLinearConv", "QLinearMatMul", "QuantizeLinear"};
  return *names;
}

bool IsListedType(DType t) {
  return SizeOf(t) > 0 && t != DType::kFloat16 && t != DType::kBFloat16;
}

std::string TypeReason(const ValueInfo& v) {
  if (v.dtype == DType::kNone) return "sequence or optional";
  if (IsListedType(v.dtype)) return "";
  return Cat("type ", Name(v.dtype),
             SizeOf(v.dtype) || v.dtype == DType::kString ? "" : " (8 bits or less)");
}

// Why a model is out of scope; empty if it is in scope.
std::string OutOfScope(const Graph& graph) {
  for (const auto* values : {&graph.inputs, &graph.outputs})
    for (const ValueInfo& v : *values)
      if (std::string reason = TypeReason(v); !reason.empty()) return reason;
  for (const Node& n : graph.nodes) {
    if (!n.domain.empty()) return "domain " + n.domain;
    if (n.op_type.starts_with("Random") || n.op_type == "Bernoulli") return "random results";
    if (!ListedOperators().contains(n.op_type) && !OpTable::Get().Find("", n.op_type))
      return "operator " + n.op_type;
    if (n.Int("training_mode", 0) || (n.Is("Dropout") && n.HasInput(2))) return "training";
    for (const auto& [name, attribute] : n.attributes)
      if (const auto* sub = std::get_if<std::shared_ptr<const Graph>>(&attribute))
        if (std::string reason = OutOfScope(**sub); !reason.empty()) return reason;
  }
  return "";
}

// Why a file that the reader refused is out of scope; empty if the refusal is a failure.
std::string RefusalReason(const std::string& message) {
  for (const char* reason : {"opset", "string", "sparse", "model-local functions", "float8",
                             "float4", "int4", "complex", "element type"})
    if (message.find(reason) != std::string::npos) return Cat("refused: ", reason);
  return "";
}

// Empty if the tensors agree.
std::string Difference(const Tensor& got, const Tensor& want) {
  if (got.dtype() != want.dtype())
    return Cat("type ", Name(got.dtype()), ", want ", Name(want.dtype()));
  if (got.shape() != want.shape())
    return Cat("shape ", ToString(got.shape()), ", want ", ToString(want.shape()));
  const Tensor g = Cast(got, DType::kFloat64), w = Cast(want, DType::kFloat64);
  for (int64_t i = 0; i < g.numel(); ++i) {
    const double a = g.data<double>()[i], b = w.data<double>()[i];
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    if (!(std::fabs(a - b) <= 1e-7 + 1e-3 * std::fabs(b)) || std::isinf(b))
      return Cat("element ", i, " of ", ToString(got.shape()), " is ", a, ", want ", b);
  }
  return "";
}

// Runs one test_data_set; empty if all outputs agree.
std::string RunDataSet(const Model& model, const Session& session, const fs::path& data) {
  TensorMap inputs;
  for (size_t i = 0; i < model.graph.inputs.size(); ++i)
    inputs[model.graph.inputs[i].name] = ReadTensorProto(data / Cat("input_", i, ".pb"));
  const std::vector<Tensor> got = session.Run(inputs);
  for (size_t i = 0; i < got.size(); ++i) {
    const Tensor want = ReadTensorProto(data / Cat("output_", i, ".pb"));
    if (std::string d = Difference(got[i], want); !d.empty()) return Cat("output ", i, ": ", d);
  }
  return "";
}

struct Tally {
  size_t passed = 0;
  std::map<std::string, size_t> out_of_scope;
  std::vector<std::string> failures;
};

void RunCase(const fs::path& folder, Tally& tally) {
  const std::string name = folder.filename().string();
  try {
    const Model model = ReadOnnx(folder / "model.onnx");
    if (const std::string reason = OutOfScope(model.graph); !reason.empty()) {
      ++tally.out_of_scope[reason];
      return;
    }
    const Session session(model.graph, {});
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (!entry.is_directory()) continue;
      const std::string difference = RunDataSet(model, session, entry.path());
      if (difference.empty()) continue;
      tally.failures.push_back(name + ": " + difference);
      return;
    }
    ++tally.passed;
  } catch (const FileError& e) {
    const std::string reason = RefusalReason(e.what());
    reason.empty() ? tally.failures.push_back(name + ": " + e.what())
                   : void(++tally.out_of_scope[reason]);
  } catch (const std::exception& e) {
    tally.failures.push_back(name + ": " + e.what());
  }
}

TEST(OnnxBackend, AtLeast95PercentOfTheNodeTestsInScopePass) {
  const char* root = std::getenv("MEZZO_ONNX_TESTS");
  if (!root)
    GTEST_SKIP() << "MEZZO_ONNX_TESTS is not set: tools/onnx_node_tests.py writes the folder that "
                    "it should name";
  std::set<fs::path> folders;
  for (const auto& entry : fs::recursive_directory_iterator(root))
    if (entry.path().filename() == "model.onnx") folders.insert(entry.path().parent_path());
  Tally tally;
  const char* only =
      std::getenv("MEZZO_ONNX_TESTS_ONLY");  // part of a name, to look into a failure
  for (const fs::path& folder : folders)
    if (!only || folder.filename().string().find(only) != std::string::npos) RunCase(folder, tally);
  size_t skipped = 0;
  for (const auto& [reason, count] : tally.out_of_scope) {
    skipped += count;
    std::cout << "out of scope, " << reason << ": " << count << "\n";
  }
  for (const std::string& f : tally.failures) std::cout << "FAILED " << f << "\n";
  std::cout << tally.passed << " passed, " << tally.failures.size() << " failed, " << skipped
            << " out of scope\n";
  const size_t in_scope = tally.passed + tally.failures.size();
  EXPECT_GT(in_scope, 0u) << "no tests below " << root;
  EXPECT_GE(static_cast<double>(tally.passed), 0.95 * static_cast<double>(in_scope));
}

}  // namespace
}  // namespace mezzo
