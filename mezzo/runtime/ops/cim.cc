// mezzo:CimConv and mezzo:CimMatMul (runtime/cim.h).
#include "mezzo/runtime/cim.h"

#include <cstring>

#include "mezzo/runtime/ops/families.h"
#include "mezzo/runtime/ops/integer.h"

namespace mezzo {
namespace {

constexpr size_t kBlock = 64;  // rows that are gathered at a time

struct Prepared {
  std::vector<CimArray> arrays;  // one for each group
  QOutput out;
};

// What the windows of a convolution see, in the order (p, q, c).
void GatherWindows(const QConvShape& s, const uint8_t* x, uint8_t zero, size_t group, size_t begin,
                   size_t count, uint8_t* to) {
  const size_t channels = s.group_in();
  for (size_t row = begin; row < begin + count; ++row) {
    const size_t b = row / (s.out_h * s.out_w), i = row / s.out_w % s.out_h, j = row % s.out_w;
    for (size_t p = 0; p < s.kernel_h; ++p)
      for (size_t q = 0; q < s.kernel_w; ++q, to += channels) {
        const size_t h = i * s.stride_h + p * s.dilation_h - s.pad_top;
        const size_t w = j * s.stride_w + q * s.dilation_w - s.pad_left;
        if (h >= s.in_h || w >= s.in_w)  // negative ones have wrapped
          std::memset(to, zero, channels);
        else
          std::memcpy(to, x + ((b * s.in_h + h) * s.in_w + w) * s.in_c + group * channels,
                      channels);
      }
  }
}

// A number that tells inputs apart: what read noise depends on besides the chip.
uint64_t HashOf(const Tensor& x) {
  uint64_t hash = 0;
  const auto* bytes = static_cast<const char*>(x.raw());
  for (size_t i = 0; i < x.bytes(); i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes + i, std::min<size_t>(8, x.bytes() - i));
    hash = (hash ^ word) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 29;
  }
  return hash;
}

// All groups of the rows [begin, begin + count) of a convolution.
void RunBlock(const OpContext& ctx, const QConvShape& s, QCodes x, int32_t x_zero, uint64_t hash,
              const Prepared& p, size_t begin, size_t count, void* y) {
  const size_t depth = s.taps() * s.group_in(), cols = s.group_out();
  std::vector<uint8_t> codes(count * depth);
  std::vector<int32_t> acc(count * cols);
  for (size_t g = 0; g < s.groups; ++g) {
    GatherWindows(s, static_cast<const uint8_t*>(x.data), static_cast<uint8_t>(x_zero), g, begin,
                  count, codes.data());
    const CimArray& array = p.arrays[g];
    const CimArgs args{{codes.data(), x.is_signed}, count, depth, x_zero,
                       hash ^ array.seed(),         begin};
    if (ctx.kernels == KernelSet::kReference)
      CimGemmRef(args, array.weights(), array.options(), array.seed(), acc.data());
    else
      CimGemm(args, array, acc.data());
    for (size_t m = 0; m < count; ++m)
      for (size_t n = 0; n < cols; ++n)
        StoreQOutputRef(p.out, g * cols + n, acc[m * cols + n], y,
                        (begin + m) * s.out_c + g * cols + n);
  }
}

void Run(OpContext& ctx, const QConvShape& s, const Tensor& x, int32_t x_zero, const Prepared& p,
         Tensor& y) {
  const uint64_t hash = CimOptionsOf(ctx.node).read_noise > 0 ? HashOf(x) : 0;
  const size_t rows = s.batch * s.out_h * s.out_w, blocks = (rows + kBlock - 1) / kBlock;
  ctx.threads.Each(blocks, [&](size_t block, size_t) {
    const size_t begin = block * kBlock;
    RunBlock(ctx, s, CodesOf(x), x_zero, hash, p, begin, std::min(kBlock, rows - begin), y.raw());
  });
}

Prepared Prepare(const OpContext& ctx, const QConvShape& s, const Tensor& w) {
  const CimOptions options = CimOptionsOf(ctx.node);
  Prepared p;
  std::vector<CimWeights> weights = CimWeightsOf(ctx.node, w);
  for (size_t g = 0; g < s.groups; ++g)
    p.arrays.emplace_back(std::move(weights[g]), options, CimSeed(options.chip, ctx.node.name, g));
  p.out = OutputOf(ctx.node, s.out_c, ctx.Has(2) ? &ctx.in[2] : nullptr);
  return p;
}

// x, w, [bias]
void CimConv(OpContext& ctx) {
  const Tensor& w = ctx.Plain(1);
  const Tensor x = ctx.in[0].ToLayout(Layout::kChannelsLast);
  const WindowGeometry g = ConvGeometry(ctx.node, x, w);
  const Prepared& p =
      ctx.state.Get<Prepared>([&] { return std::make_shared<Prepared>(Prepare(ctx, g.shape, w)); });
  Tensor y(TypeOf(p.out.kind), g.OutShape(x.rank()), Layout::kChannelsLast);
  Run(ctx, g.shape, x, static_cast<int32_t>(ctx.node.Int("x_zero_point", 0)), p, y);
  ctx.out[0] = std::move(y);
}

// a, b, [bias]; as a convolution whose pixels are the rows of a
void CimMatMul(OpContext& ctx) {
  const Tensor &a = ctx.Plain(0), &b = ctx.Plain(1);
  const bool transposed = ctx.node.Int("transpose_b", 0) != 0;
  Require(a.rank() > 0 && b.rank() == 2 && a.shape().back() == b.dim(transposed ? 1 : 0),
          "got shapes ", ToString(a.shape()), " and ", ToString(b.shape()),
          ", which do not multiply");
  QConvShape s;
  s.in_c = static_cast<size_t>(a.shape().back());
  s.out_c = static_cast<size_t>(b.dim(transposed ? 0 : 1));
  s.in_w = s.out_w = static_cast<size_t>(a.numel()) / std::max<size_t>(s.in_c, 1);
  const Prepared& p =
      ctx.state.Get<Prepared>([&] { return std::make_shared<Prepared>(Prepare(ctx, s, b)); });
  Shape out = a.shape();
  out.back() = static_cast<int64_t>(s.out_c);
  Tensor y(TypeOf(p.out.kind), out);
  Run(ctx, s, a, static_cast<int32_t>(ctx.node.Int("a_zero_point", 0)), p, y);
  ctx.out[0] = std::move(y);
}

}  // namespace

void AddCim(OpTable& table) {
  table.Add("mezzo:CimConv", &CimConv, true);
  table.Add("mezzo:CimMatMul", &CimMatMul);
}

}  // namespace mezzo
