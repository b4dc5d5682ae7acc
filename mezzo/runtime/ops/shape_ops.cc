// Operators that give the same elements another shape, or tell about shapes.
#include "mezzo/runtime/ops/shape_ops.h"

#include "mezzo/runtime/ops/families.h"
#include "mezzo/runtime/ops/op_util.h"

namespace mezzo {
namespace {

void ShapeOf(OpContext& ctx) {
  const auto rank = static_cast<int64_t>(ctx.in[0].rank());
  const auto bound = [&](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + rank : i, 0, rank); };
  const int64_t start = bound(ctx.node.Int("start", 0)), end = bound(ctx.node.Int("end", rank));
  const Shape& shape = ctx.in[0].shape();
  ctx.out[0] =
      Tensor::Vector(start < end ? Shape(shape.begin() + start, shape.begin() + end) : Shape());
}

void Size(OpContext& ctx) { ctx.out[0] = Tensor::Scalar<int64_t>(ctx.in[0].numel()); }

void Identity(OpContext& ctx) { ctx.out[0] = ctx.in[0]; }

// Inference: passes through, whatever the ratio; the mask keeps everything.
void Dropout(OpContext& ctx) {
  Require(!ctx.Has(2) || !*ctx.Plain(2).data<bool>(), "training_mode is not supported");
  ctx.out[0] = ctx.in[0];
  if (ctx.out.size() < 2) return;
  ctx.out[1] = Tensor(DType::kBool, ctx.in[0].shape(), ctx.in[0].layout());
  std::ranges::fill(ctx.out[1].span<bool>(), true);
}

void Reshape(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  const std::vector<int64_t> asked = ToInts(ctx.Plain(1));
  const bool allow_zero = ctx.node.Int("allowzero", 0) != 0;
  Shape shape = asked;
  int64_t known = 1;
  auto unknown = shape.end();
  for (auto d = shape.begin(); d != shape.end(); ++d) {
    const auto i = static_cast<size_t>(d - shape.begin());
    if (*d == 0 && !allow_zero) {
      Require(i < x.rank(), "shape ", ToString(asked), " copies a dimension that ",
              ToString(x.shape()), " lacks");
      *d = x.dim(i);
    }
    if (*d != -1) {
      known *= *d;
      continue;
    }
    Require(unknown == shape.end(), "shape ", ToString(asked), " has more than one -1");
    unknown = d;
  }
  if (unknown != shape.end()) {
    Require(known > 0 && x.numel() % known == 0, "cannot reshape ", ToString(x.shape()), " to ",
            ToString(asked));
    *unknown = x.numel() / known;
  }
  ctx.out[0] = x.Reshape(shape);
}

void Flatten(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  const auto rank = static_cast<int64_t>(x.rank());
  const int64_t given = ctx.node.Int("axis", 1), axis = given < 0 ? given + rank : given;
  Require(axis >= 0 && axis <= rank, "axis ", given, " is out of range for rank ", rank);
  int64_t rows = 1, columns = 1;
  for (int64_t i = 0; i < rank; ++i) (i < axis ? rows : columns) *= x.dim(i);
  ctx.out[0] = x.Reshape({rows, columns});
}

void Squeeze(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  Shape shape;
  if (ctx.Has(1)) {
    const std::vector<char> drop = AxisFlags(ToInts(ctx.Plain(1)), x.rank());
    for (size_t i = 0; i < x.rank(); ++i) {
      Require(!drop[i] || x.dim(i) == 1, "cannot squeeze axis ", i, " of ", ToString(x.shape()));
      if (!drop[i]) shape.push_back(x.dim(i));
    }
  } else {
    std::ranges::copy_if(x.shape(), std::back_inserter(shape), [](int64_t d) { return d != 1; });
  }
  ctx.out[0] = x.Reshape(shape);
}

void Unsqueeze(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  const std::vector<int64_t> axes = ToInts(ctx.Plain(1));
  const std::vector<char> is_new = AxisFlags(axes, x.rank() + axes.size());
  Shape shape;
  size_t next = 0;
  for (const char added : is_new) shape.push_back(added ? 1 : x.dim(next++));
  ctx.out[0] = x.Reshape(shape);
}

void Constant(OpContext& ctx) {
  const Node& n = ctx.node;
  if (const Tensor* value = n.TensorAttribute("value"))
    ctx.out[0] = *value;
  else if (n.Has("value_float"))
    ctx.out[0] = Tensor::Scalar(n.Float("value_float", 0));
  else if (n.Has("value_int"))
    ctx.out[0] = Tensor::Scalar(n.Int("value_int", 0));
  else if (n.Has("value_floats"))
    ctx.out[0] = Tensor::Vector(n.Floats("value_floats"));
  else if (n.Has("value_ints"))
    ctx.out[0] = Tensor::Vector(n.Ints("value_ints"));
  else
    throw UsageError("the constant is neither numbers nor a dense tensor");
  ctx.out[0] = ctx.out[0].Clone();  // the attribute lives on: nobody may write over it
}

}  // namespace

void AddReshaping(OpTable& table) {
  table.Add("Shape", &ShapeOf, true);
  table.Add("Size", &Size, true);
  table.Add("Identity", &Identity, true);
  table.Add("Dropout", &Dropout, true);
  table.Add("Reshape", &Reshape);
  table.Add("Flatten", &Flatten);
  table.Add("Squeeze", &Squeeze);
  table.Add("Unsqueeze", &Unsqueeze);
  table.Add("Constant", &Constant);
}

void AddShapeOps(OpTable& table) {
  AddReshaping(table);
  AddRearranging(table);
  AddJoining(table);
  AddPadding(table);
}

}  // namespace mezzo
