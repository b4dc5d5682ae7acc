// Control flow: If, Loop, Scan (https://onnx.ai/onnx/operators).
#include <limits>

#include "mezzo/runtime/ops/families.h"

namespace mezzo {
namespace {

bool IsTrue(const Tensor& t) {
  Require(t.numel() == 1, "the condition has shape ", ToString(t.shape()), ", needs one element");
  return *t.data<bool>();
}

void If(OpContext& ctx) {
  ctx.out = ctx.RunSubgraph(IsTrue(ctx.in[0]) ? "then_branch" : "else_branch", {});
}

// Equally shaped tensors along a new axis. `reverse` puts the last one first.
Tensor Stack(const std::vector<Tensor>& parts, size_t axis, bool reverse = false) {
  Require(!parts.empty(), "an output collected over no iterations has no known shape");
  const Tensor& first = parts[0];
  const size_t count = parts.size(), item = SizeOf(first.dtype());
  Require(axis <= first.rank(), "axis ", axis, " is out of range");
  Shape shape = first.shape();
  size_t outer = 1;
  for (size_t i = 0; i < axis; ++i) outer *= shape[i];
  shape.insert(shape.begin() + axis, count);
  const size_t inner = outer ? first.numel() / outer * item : 0;
  Tensor out(first.dtype(), shape);
  auto* y = static_cast<std::byte*>(out.raw());
  for (size_t p = 0; p < count; ++p) {
    const Tensor part = parts[reverse ? count - 1 - p : p].ToLayout(Layout::kPlain);
    Require(part.shape() == first.shape(), "iterations gave shapes ", ToString(first.shape()),
            " and ", ToString(part.shape()));
    const auto* x = static_cast<const std::byte*>(part.raw());
    for (size_t o = 0; o < outer; ++o)
      std::copy_n(x + o * inner, inner, y + (o * count + p) * inner);
  }
  return out;
}

Tensor SliceAt(const Tensor& t, size_t axis, size_t index) {
  Shape shape = t.shape();
  size_t outer = 1;
  for (size_t i = 0; i < axis; ++i) outer *= shape[i];
  const size_t count = shape[axis];
  shape.erase(shape.begin() + axis);
  Tensor out(t.dtype(), shape);
  const size_t inner = outer ? out.numel() / outer * SizeOf(t.dtype()) : 0;
  for (size_t o = 0; o < outer; ++o)
    std::copy_n(static_cast<const std::byte*>(t.raw()) + (o * count + index) * inner, inner,
                static_cast<std::byte*>(out.raw()) + o * inner);
  return out;
}

void Loop(OpContext& ctx) {
  const int64_t trips =
      ctx.Has(0) ? ToInts(ctx.Plain(0)).at(0) : std::numeric_limits<int64_t>::max();
  bool go_on = !ctx.Has(1) || IsTrue(ctx.in[1]);
  std::vector<Tensor> state(ctx.in.begin() + std::min<size_t>(2, ctx.in.size()), ctx.in.end());
  const size_t carried = state.size();
  Require(ctx.out.size() >= carried, "has ", ctx.out.size(), " outputs for ", carried,
          " carried values");
  std::vector<std::vector<Tensor>> scanned(ctx.out.size() - carried);
  for (int64_t i = 0; i < trips && go_on; ++i) {
    std::vector<Tensor> inputs{Tensor::Scalar(i), Tensor::Scalar(true)};
    for (Tensor& s : state) inputs.push_back(std::move(s));
    std::vector<Tensor> made = ctx.RunSubgraph("body", std::move(inputs));
    Require(made.size() == 1 + ctx.out.size(), "the body makes ", made.size(), " values, needs ",
            1 + ctx.out.size());
    go_on = IsTrue(made[0]);
    for (size_t s = 0; s < carried; ++s) state[s] = std::move(made[1 + s]);
    for (size_t s = 0; s < scanned.size(); ++s)
      scanned[s].push_back(std::move(made[1 + carried + s]));
  }
  for (size_t s = 0; s < carried; ++s) ctx.out[s] = std::move(state[s]);
  for (size_t s = 0; s < scanned.size(); ++s)
    if (!ctx.node.outputs[carried + s].empty()) ctx.out[carried + s] = Stack(scanned[s], 0);
}

void Scan(OpContext& ctx) {
  const size_t scans = ctx.node.Int("num_scan_inputs", 0);
  Require(scans >= 1 && scans <= ctx.in.size(), "num_scan_inputs is ", scans, " of ",
          ctx.in.size());
  const size_t carried = ctx.in.size() - scans;
  Require(ctx.out.size() >= carried, "has too few outputs");
  const size_t outs = ctx.out.size() - carried;
  const std::vector<int64_t> in_axes =
                                 ctx.node.Ints("scan_input_axes", std::vector<int64_t>(scans, 0)),
                             in_back = ctx.node.Ints("scan_input_directions",
                                                     std::vector<int64_t>(scans, 0)),
                             out_axes =
                                 ctx.node.Ints("scan_output_axes", std::vector<int64_t>(outs, 0)),
                             out_back = ctx.node.Ints("scan_output_directions",
                                                      std::vector<int64_t>(outs, 0));
  Require(in_axes.size() == scans && in_back.size() == scans && out_axes.size() == outs &&
              out_back.size() == outs,
          "axes or directions do not match the number of scanned values");
  const auto axis = [](int64_t a, size_t rank) {
    Require(a >= -static_cast<int64_t>(rank) && a < static_cast<int64_t>(rank), "axis ", a,
            " is out of range");
    return static_cast<size_t>(a < 0 ? a + static_cast<int64_t>(rank) : a);
  };
  std::vector<Tensor> state(ctx.in.begin(), ctx.in.begin() + carried);
  const int64_t length = ctx.in[carried].dim(axis(in_axes[0], ctx.in[carried].rank()));
  std::vector<std::vector<Tensor>> collected(outs);
  for (int64_t t = 0; t < length; ++t) {
    std::vector<Tensor> inputs = std::move(state);
    for (size_t s = 0; s < scans; ++s) {
      const Tensor& x = ctx.Plain(carried + s);
      const size_t a = axis(in_axes[s], x.rank());
      Require(x.dim(a) == length, "scanned inputs have lengths ", length, " and ", x.dim(a));
      inputs.push_back(SliceAt(x, a, in_back[s] ? length - 1 - t : t));
    }
    std::vector<Tensor> made = ctx.RunSubgraph("body", std::move(inputs));
    Require(made.size() == carried + outs, "the body makes ", made.size(), " values, needs ",
            carried + outs);
    state.assign(std::make_move_iterator(made.begin()),
                 std::make_move_iterator(made.begin() + carried));
    for (size_t s = 0; s < outs; ++s) collected[s].push_back(std::move(made[carried + s]));
  }
  for (size_t s = 0; s < carried; ++s) ctx.out[s] = std::move(state[s]);
  for (size_t s = 0; s < outs; ++s) {
    if (ctx.node.outputs[carried + s].empty()) continue;
    const size_t rank = collected[s].empty() ? 1 : collected[s][0].rank() + 1;
    ctx.out[carried + s] = Stack(collected[s], axis(out_axes[s], rank), out_back[s]);
  }
}

}  // namespace

void AddControl(OpTable& table) {
  table.Add("If", If);
  table.Add("Loop", Loop);
  table.Add("Scan", Scan);
}

}  // namespace mezzo
