#include "mezzo/runtime/gradient/rule.h"

#include "mezzo/kernels/vmath/vector.h"
#include "mezzo/runtime/ops/op_util.h"

namespace mezzo {

const GradientTable& GradientTable::Get() {
  static const GradientTable* const table = [] {
    auto* t = new GradientTable;
    AddElementwiseGradients(*t);
    AddMovementGradients(*t);
    AddProductGradients(*t);
    AddConvGradients(*t);
    AddPoolGradients(*t);
    AddNormGradients(*t);
    AddAttentionGradients(*t);
    AddRecurrentGradients(*t);
    return t;
  }();
  return *table;
}

GradientRule GradientTable::Find(const Node& node) const {
  const auto it =
      rules_.find(node.domain.empty() ? node.op_type : node.domain + ":" + node.op_type);
  return it == rules_.end() ? nullptr : it->second;
}

std::vector<Tensor> RunOp(const Node& node, std::vector<Tensor> in, const Threads& threads,
                          std::span<const char> constant, NodeState* state) {
  const OpEntry* op = OpTable::Get().Find(node.domain, node.op_type);
  Require(op != nullptr, "operator ", node.op_type, " is not supported");
  if (!op->channels_last)
    for (Tensor& t : in)
      if (t.defined()) t = t.ToLayout(Layout::kPlain);
  const auto flags = std::make_unique<bool[]>(in.size());
  for (size_t i = 0; i < in.size(); ++i) flags[i] = i < constant.size() && constant[i];
  NodeState own;
  OpContext ctx{node,
                in,
                {flags.get(), in.size()},
                std::vector<Tensor>(node.outputs.size()),
                threads,
                KernelSet::kFast,
                state ? *state : own};
  op->run(ctx);
  return std::move(ctx.out);
}

Tensor RunOp(const std::string& op, std::vector<Tensor> in, Attributes attributes,
             const Threads& threads) {
  Node node{op, "", op, std::vector<std::string>(in.size(), "x"), {"y"}, std::move(attributes)};
  return RunOp(node, std::move(in), threads)[0];
}

Tensor SumTo(const Tensor& t, const Shape& shape, const Threads& threads) {
  if (t.shape() == shape) return t;
  const size_t more = t.rank() - shape.size();
  std::vector<int64_t> axes;
  for (size_t i = 0; i < t.rank(); ++i)
    if (i < more || (shape[i - more] == 1 && t.dim(i) != 1))
      axes.push_back(static_cast<int64_t>(i));
  if (axes.empty()) return t.ToLayout(Layout::kPlain).Reshape(shape);
  return RunOp("ReduceSum", {t, Tensor::Vector(axes)}, {}, threads)
      .ToLayout(Layout::kPlain)
      .Reshape(shape);
}

void Accumulate(Tensor& a, const Tensor& b, const Threads& threads) {
  const Tensor same = b.ToLayout(a.layout());
  const float* from = same.data<float>();
  float* to = a.data<float>();
  threads.For(a.numel(), kGrain, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) to[i] += from[i];
  });
}

}  // namespace mezzo
