// Pad, Trilu, ReverseSequence.
#include <cstring>

#include "mezzo/runtime/ops/op_util.h"
#include "mezzo/runtime/ops/shape_ops.h"

namespace mezzo {
namespace {

int64_t Modulo(int64_t a, int64_t n) { return (a % n + n) % n; }

// Where each index of the padded axis reads from; -1 is the constant. Negative padding crops,
// before anything is filled in.
std::vector<int64_t> PadMap(const std::string& mode, int64_t size, int64_t before, int64_t after) {
  const int64_t first = std::max<int64_t>(0, -before), last = size - std::max<int64_t>(0, -after);
  const int64_t n = last - first, total = size + before + after;
  Require(n >= 0 && total >= 0, "padding ", before, " and ", after, " crops more than ", size);
  Require(n > 0 || total == 0 || mode == "constant", "mode ", mode, " on an empty axis");
  std::vector<int64_t> map(total);
  for (int64_t i = 0; i < total; ++i) {
    const int64_t at = i - std::max<int64_t>(0, before);  // relative to what remains
    if (at >= 0 && at < n) {
      map[i] = first + at;
    } else if (mode == "constant") {
      map[i] = -1;
    } else if (mode == "edge") {
      map[i] = first + std::clamp<int64_t>(at, 0, n - 1);
    } else if (mode == "wrap") {
      map[i] = first + Modulo(at, n);
    } else if (mode == "reflect") {
      const int64_t period = std::max<int64_t>(1, 2 * (n - 1)), m = Modulo(at, period);
      map[i] = first + std::min(m, period - m);
    } else {
      throw UsageError(Cat("mode is \"", mode, "\", needs constant, edge, reflect or wrap"));
    }
  }
  return map;
}

struct Padding {
  std::vector<std::vector<int64_t>> maps;  // per axis
  std::vector<int64_t> strides;            // of x
};

// Fills the rows of `y` below the given axis, from x on.
template <class U>
U* PadRows(const Padding& p, size_t axis, const U* x, bool outside, U constant, U* y) {
  const std::vector<int64_t>& map = p.maps[axis];
  if (axis + 1 == p.maps.size()) {
    for (const int64_t i : map) *y++ = outside || i < 0 ? constant : x[i];
    return y;
  }
  for (const int64_t i : map)
    y = PadRows(p, axis + 1, i < 0 ? x : x + i * p.strides[axis], outside || i < 0, constant, y);
  return y;
}

void Pad(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  const std::vector<int64_t> pads = ToInts(ctx.Plain(1));
  std::vector<int64_t> axes(x.rank());
  std::iota(axes.begin(), axes.end(), 0);
  if (ctx.Has(3)) axes = ToInts(ctx.Plain(3));
  const size_t count = axes.size();
  Require(pads.size() == 2 * count, "got ", pads.size(), " pads for ", count, " axes");
  std::vector<int64_t> before(x.rank(), 0), after(x.rank(), 0);
  for (size_t i = 0; i < count; ++i) {
    const size_t axis = NormalAxis(axes[i], x.rank());
    before[axis] = pads[i];
    after[axis] = pads[count + i];
  }
  Padding p{{}, PlainStrides(x.shape())};
  Shape shape;
  for (size_t i = 0; i < x.rank(); ++i) {
    p.maps.push_back(PadMap(ctx.node.String("mode", "constant"), x.dim(i), before[i], after[i]));
    shape.push_back(static_cast<int64_t>(p.maps[i].size()));
  }
  ctx.out[0] = Tensor(x.dtype(), shape);
  if (x.rank() == 0) {
    ctx.out[0] = x;
    return;
  }
  Require(!ctx.Has(2) || (ctx.in[2].dtype() == x.dtype() && ctx.in[2].numel() == 1),
          "the padding value must be one ", Name(x.dtype()));
  WithSize(SizeOf(x.dtype()), [&]<class U>() {
    const U constant = ctx.Has(2) ? *static_cast<const U*>(ctx.Plain(2).raw()) : U{};
    PadRows(p, 0, static_cast<const U*>(x.raw()), false, constant,
            static_cast<U*>(ctx.out[0].raw()));
  });
}

// Keeps what lies on, and above or below, the k-th diagonal of the last two axes.
void Trilu(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  Require(x.rank() >= 2, "the input has shape ", ToString(x.shape()), ", needs rank 2");
  const int64_t k = ctx.Has(1) ? ToInts(ctx.Plain(1)).at(0) : 0;
  const bool upper = ctx.node.Int("upper", 1) != 0;
  const int64_t rows = x.dim(x.rank() - 2), columns = x.dim(x.rank() - 1);
  ctx.out[0] = Tensor::Zeros(x.dtype(), x.shape());
  const int64_t lines = columns ? x.numel() / columns : 0, item = SizeOf(x.dtype());
  for (int64_t line = 0; line < lines; ++line) {
    const int64_t edge = std::clamp<int64_t>(line % rows + k + !upper, 0, columns);
    const int64_t first = upper ? edge : 0, last = upper ? columns : edge;
    const int64_t at = (line * columns + first) * item;
    std::memcpy(static_cast<std::byte*>(ctx.out[0].raw()) + at,
                static_cast<const std::byte*>(x.raw()) + at, (last - first) * item);
  }
}

// Reverses the first sequence_lens[b] steps of every batch entry b.
void ReverseSequence(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  const std::vector<int64_t> lengths = ToInts(ctx.Plain(1));
  const int64_t time_axis = ctx.node.Int("time_axis", 0),
                batch_axis = ctx.node.Int("batch_axis", 1);
  Require(x.rank() >= 2 && time_axis + batch_axis == 1 && time_axis * batch_axis == 0,
          "time_axis and batch_axis must be 0 and 1");
  const int64_t steps = x.dim(time_axis), batch = x.dim(batch_axis);
  Require(static_cast<int64_t>(lengths.size()) == batch, "got ", lengths.size(),
          " sequence lengths for a batch of ", batch);
  ctx.out[0] = Tensor(x.dtype(), x.shape());
  if (x.numel() == 0) return;
  const int64_t unit = x.bytes() / (steps * batch);
  for (int64_t b = 0; b < batch; ++b) {
    Require(lengths[b] >= 0 && lengths[b] <= steps, "sequence length ", lengths[b], " of ", steps);
    for (int64_t t = 0; t < steps; ++t) {
      const int64_t from = t < lengths[b] ? lengths[b] - 1 - t : t;
      const auto at = [&](int64_t s) {
        return (time_axis == 0 ? s * batch + b : b * steps + s) * unit;
      };
      std::memcpy(static_cast<std::byte*>(ctx.out[0].raw()) + at(t),
                  static_cast<const std::byte*>(x.raw()) + at(from), unit);
    }
  }
}

}  // namespace

void AddPadding(OpTable& table) {
  table.Add("Pad", &Pad);
  table.Add("Trilu", &Trilu);
  table.Add("ReverseSequence", &ReverseSequence);
}

}  // namespace mezzo
