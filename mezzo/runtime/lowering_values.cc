// What the values of a Q/DQ graph are: constants, codes behind DequantizeLinear, ends of patterns.
#include <algorithm>
#include <cmath>

#include "mezzo/runtime/lowering.h"
#include "mezzo/runtime/session.h"

namespace mezzo {
namespace {

bool IsCode(DType t) { return t == DType::kUInt8 || t == DType::kInt8; }

// The code that QuantizeLinear gives a bound.
int32_t CodeOf(float bound, const CodeValue& grid) {
  const float code = std::nearbyint(bound / grid.scale) + static_cast<float>(grid.zero_point);
  return static_cast<int32_t>(
      std::clamp(code, static_cast<float>(grid.qmin()), static_cast<float>(grid.qmax())));
}

// Nodes that weights pass through on their way from an initializer.
bool MayPrepareConstants(const Node& node) {
  static const std::set<std::string> kOps = {"QuantizeLinear", "Transpose", "Reshape", "Squeeze",
                                             "Unsqueeze",      "Identity",  "Cast",    "Flatten",
                                             "Gather",         "Add",       "Mul",     "Slice"};
  return node.domain.empty() && kOps.contains(node.op_type);
}

}  // namespace

const Node* Lowering::Producer(const std::string& value) const {
  const auto it = uses_->producer.find(value);
  return it == uses_->producer.end() ? nullptr : &graph_.nodes[it->second];
}

Tensor Lowering::Evaluate(const std::string& value) {
  if (const Tensor* t = graph_.Initializer(value)) return *t;
  if (const auto known = constants_.find(value); known != constants_.end()) return known->second;
  const Node* node = Producer(value);
  if (!node || !MayPrepareConstants(*node)) return {};
  Graph one;
  for (const std::string& in : node->inputs) {
    if (in.empty()) continue;
    Tensor t = Evaluate(in);
    if (!t.defined()) return constants_[value] = {};
    one.initializers[in] = std::move(t);
  }
  one.nodes = {*node};
  one.outputs = {{value}};
  return constants_[value] = Session(one, {}).Run({})[0];
}

const Tensor* Lowering::FloatConstant(const std::string& value) {
  const Tensor* t = graph_.Initializer(value);
  return t && t->dtype() == DType::kFloat32 ? t : nullptr;
}

// The grid of a QuantizeLinear or DequantizeLinear with constant 8-bit parameters for the whole
// tensor; `value` is left empty.
std::optional<CodeValue> Lowering::GridOf(const Node& node) {
  const Tensor scale = node.HasInput(1) ? Evaluate(node.inputs[1]) : Tensor();
  if (!scale.defined() || scale.dtype() != DType::kFloat32 || scale.numel() != 1) return {};
  CodeValue grid;
  grid.scale = *scale.data<float>();
  if (!std::isfinite(grid.scale) || grid.scale <= 0) return {};
  if (node.HasInput(2)) {
    const Tensor zero = Evaluate(node.inputs[2]);
    if (!zero.defined() || !IsCode(zero.dtype()) || zero.numel() != 1) return {};
    grid.dtype = zero.dtype();
    grid.zero_point = *Cast(zero, DType::kInt32).data<int32_t>();
    return grid;
  }
  if (node.Is("QuantizeLinear")) {
    const auto type = static_cast<DType>(node.Int("output_dtype", 0));
    if (type != DType::kNone) grid.dtype = type;
    return IsCode(grid.dtype) ? std::optional(grid) : std::nullopt;
  }
  // without a zero point only the codes themselves tell their type
  const Tensor codes = Evaluate(node.inputs[0]);
  const Node* maker = Producer(node.inputs[0]);
  if (codes.defined()) {
    grid.dtype = codes.dtype();
  } else if (maker && maker->Is("QuantizeLinear")) {
    const std::optional<CodeValue> made = GridOf(*maker);
    if (!made) return {};
    grid.dtype = made->dtype;
  } else {
    return {};
  }
  return IsCode(grid.dtype) ? std::optional(grid) : std::nullopt;
}

std::optional<CodeValue> Lowering::CodesOf(const std::string& value) {
  if (const auto known = codes_.find(value); known != codes_.end()) return known->second;
  codes_[value] = std::nullopt;
  const Node* node = Producer(value);
  if (!node) return {};
  if (node->Is("DequantizeLinear")) {
    std::optional<CodeValue> grid = GridOf(*node);
    if (grid) grid->value = node->inputs[0];
    return codes_[value] = grid;
  }
  MoveCodes(*node);  // enters its outputs
  return codes_[value];
}

std::optional<WeightCodes> Lowering::WeightsOf(const std::string& value) {
  const Node* node = Producer(value);
  if (!node || !node->Is("DequantizeLinear") || node->Int("block_size", 0) != 0) return {};
  WeightCodes w;
  w.codes = Widen4(Evaluate(node->inputs[0]));
  const Tensor scale = Evaluate(node->inputs[1]);
  if (!w.codes.defined() || !IsCode(w.codes.dtype())) return {};
  if (!scale.defined() || scale.dtype() != DType::kFloat32) return {};
  w.scale.assign(scale.span<float>().begin(), scale.span<float>().end());
  const int64_t axis = node->Int("axis", 1);
  w.axis = static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(w.codes.rank()) : axis);
  if (w.scale.size() > 1 &&
      (w.axis >= w.codes.rank() || w.codes.dim(w.axis) != static_cast<int64_t>(w.scale.size())))
    return {};
  if (node->HasInput(2)) {
    const Tensor zero = Evaluate(node->inputs[2]);
    if (!zero.defined() || zero.numel() != scale.numel()) return {};
    const Tensor ints = Cast(zero, DType::kInt32);
    w.zero_point.assign(ints.span<int32_t>().begin(), ints.span<int32_t>().end());
  }
  if (w.codes.dtype() == DType::kUInt8) {  // moved to signed codes: most have zero point 128
    Tensor moved(DType::kInt8, w.codes.shape());
    for (int64_t i = 0; i < w.codes.numel(); ++i)
      moved.data<int8_t>()[i] = static_cast<int8_t>(w.codes.data<uint8_t>()[i] ^ 0x80);
    w.codes = moved;
    w.zero_point.resize(w.scale.size(), 0);
    for (int32_t& z : w.zero_point) z -= 128;
  }
  if (std::ranges::all_of(w.zero_point, [](int32_t z) { return z == 0; })) w.zero_point.clear();
  return w;
}

// Relu and Clip before a QuantizeLinear narrow its codes: rounding is monotonic.
std::optional<QuantizedEnd> Lowering::EndOf(size_t index) {
  const Node& q = graph_.nodes[index];
  if (!q.Is("QuantizeLinear")) return {};
  std::optional<CodeValue> grid = GridOf(q);
  if (!grid) {
    Refuse(q, "not quantized to 8 bits with one constant scale and zero point");
    return {};
  }
  QuantizedEnd end{index, *grid, grid->qmin(), grid->qmax(), q.inputs[0]};
  end.y.value = q.outputs[0];
  for (const Node* node = Producer(end.x); node && uses_->count(end.x) == 1;
       node = Producer(end.x)) {
    float lo = -INFINITY, hi = INFINITY;
    if (node->Is("Relu")) {
      lo = 0;
    } else if (node->Is("Clip")) {
      const Tensor* bounds[2] = {};
      for (size_t i : {1, 2}) {
        if (!node->HasInput(i)) continue;
        bounds[i - 1] = FloatConstant(node->inputs[i]);
        if (!bounds[i - 1]) return end;
      }
      if (bounds[0]) lo = *bounds[0]->data<float>();
      if (bounds[1]) hi = *bounds[1]->data<float>();
      if (!(lo <= hi)) return end;
    } else {
      break;
    }
    // what comes later in the graph has the last word
    end.lo = std::clamp(CodeOf(lo, *grid), end.lo, end.hi);
    end.hi = std::clamp(CodeOf(hi, *grid), end.lo, end.hi);
    end.x = node->inputs[0];
  }
  return end;
}

}  // namespace mezzo
