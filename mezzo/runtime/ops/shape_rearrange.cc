// Operators that are a strided view, made dense: see strided_copy.h.
#include "mezzo/runtime/ops/broadcast.h"
#include "mezzo/runtime/ops/shape_ops.h"
#include "mezzo/runtime/ops/strided_copy.h"

namespace mezzo {
namespace {

void Transpose(OpContext& ctx) {
  const size_t rank = ctx.in[0].rank();
  std::vector<int64_t> perm = ctx.node.Ints("perm");
  if (perm.empty())
    for (size_t i = rank; i-- > 0;) perm.push_back(static_cast<int64_t>(i));
  std::vector<int64_t> to_last(rank);  // (N, C, S...) -> (N, S..., C)
  for (size_t i = 0; i < rank; ++i)
    to_last[i] = i == 0 ? 0 : i + 1 < rank ? static_cast<int64_t>(i) + 1 : 1;
  if (ctx.in[0].layout() == Layout::kChannelsLast && perm == to_last) {
    // already lies so in memory: only the shape changes
    const auto owner = std::make_shared<const Tensor>(ctx.in[0]);
    Shape shape;
    for (const int64_t p : perm) shape.push_back(owner->dim(p));
    ctx.out[0] = Tensor(owner->dtype(), shape, owner, owner->raw());
    return;
  }
  ctx.out[0] = TransposeTensor(ctx.Plain(0), perm, ctx.threads);
}

void Expand(OpContext& ctx) {
  ctx.out[0] = BroadcastWith(ctx.Plain(0), ToInts(ctx.Plain(1)), ctx.threads);
}

void Tile(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  const std::vector<int64_t> repeats = ToInts(ctx.Plain(1)), own = PlainStrides(x.shape());
  Require(repeats.size() == x.rank(), "got ", repeats.size(), " repeats for rank ", x.rank());
  Shape shape, dims;
  std::vector<int64_t> strides;
  for (size_t i = 0; i < x.rank(); ++i) {
    shape.push_back(repeats[i] * x.dim(i));
    dims.insert(dims.end(), {repeats[i], x.dim(i)});
    strides.insert(strides.end(), {0, own[i]});
  }
  ctx.out[0] = Tensor(x.dtype(), shape);
  CopyStrided(x.raw(), dims, strides, ctx.out[0].raw(), SizeOf(x.dtype()), ctx.threads);
}

// (N, C, H, W) through a view of six dimensions, permuted, to a shape of four.
void Regroup(OpContext& ctx, const Shape& six, const std::vector<int64_t>& perm,
             const Shape& shape) {
  ctx.out[0] = TransposeTensor(ctx.in[0].Reshape(six), perm, ctx.threads).Reshape(shape);
}

int64_t BlockSize(OpContext& ctx) {
  const int64_t block = ctx.node.Int("blocksize", 0);
  Require(block > 0, "blocksize is ", block);
  Require(ctx.Plain(0).rank() == 4, "the input has shape ", ToString(ctx.in[0].shape()),
          ", needs rank 4");
  return block;
}

void DepthToSpace(OpContext& ctx) {
  const int64_t b = BlockSize(ctx);
  const Shape s = ctx.in[0].shape();
  Require(s[1] % (b * b) == 0, s[1], " channels are no multiple of ", b * b);
  const int64_t c = s[1] / (b * b);
  const Shape out = {s[0], c, s[2] * b, s[3] * b};
  const std::string mode = ctx.node.String("mode", "DCR");
  Require(mode == "DCR" || mode == "CRD", "mode is \"", mode, "\", needs DCR or CRD");
  if (mode == "DCR")
    Regroup(ctx, {s[0], b, b, c, s[2], s[3]}, {0, 3, 4, 1, 5, 2}, out);
  else
    Regroup(ctx, {s[0], c, b, b, s[2], s[3]}, {0, 1, 4, 2, 5, 3}, out);
}

void SpaceToDepth(OpContext& ctx) {
  const int64_t b = BlockSize(ctx);
  const Shape s = ctx.in[0].shape();
  Require(s[2] % b == 0 && s[3] % b == 0, ToString(s), " does not split into blocks of ", b);
  const std::string mode = ctx.node.String("mode", "DCR");
  Require(mode == "DCR" || mode == "CRD", "mode is \"", mode, "\", needs DCR or CRD");
  const std::vector<int64_t> perm = mode == "DCR" ? std::vector<int64_t>{0, 3, 5, 1, 2, 4}
                                                  : std::vector<int64_t>{0, 1, 3, 5, 2, 4};
  Regroup(ctx, {s[0], s[1], s[2] / b, b, s[3] / b, b}, perm,
          {s[0], s[1] * b * b, s[2] / b, s[3] / b});
}

}  // namespace

void AddRearranging(OpTable& table) {
  table.Add("Transpose", &Transpose, true);
  table.Add("Expand", &Expand);
  table.Add("Tile", &Tile);
  table.Add("DepthToSpace", &DepthToSpace);
  table.Add("SpaceToDepth", &SpaceToDepth);
}

}  // namespace mezzo
