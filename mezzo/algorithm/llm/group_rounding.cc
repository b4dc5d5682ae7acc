#include "mezzo/algorithm/llm/group_rounding.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "mezzo/algorithm/llm/group_errors.h"
#include "mezzo/base/cpu.h"
#include "mezzo/base/error.h"
#include "mezzo/format/half.h"
#include "mezzo/kernels/sgemm/sgemm.h"
#include "mezzo/kernels/vmath/vmath.h"

namespace mezzo {
namespace {

constexpr int64_t kLanes = GroupTable::kRows;

float ToBFloat16(float x) { return BFloat16ToFloat(FloatToBFloat16(x)); }

// The largest weight of a group in units of its scale: codes from -8 to 7 have both ends half a
// step out, and so have zero points where both ends are as large.
float Largest(const GroupFormat& f) {
  return f.zero_points || f.codes->values[0] == -8 ? 7.5f : f.codes->Largest();
}

// Inside each group the inputs that carry most first, and the groups by their largest.
std::vector<int64_t> GroupAwareOrder(const Hessian& h, int64_t group) {
  const int64_t d = h.depth();
  std::vector<int64_t> order(d), groups(d / group);
  std::iota(order.begin(), order.end(), 0);
  const auto more = [&](int64_t a, int64_t b) { return h.At(a, a) > h.At(b, b); };
  for (int64_t g = 0; g < d / group; ++g)
    std::stable_sort(order.begin() + g * group, order.begin() + (g + 1) * group, more);
  std::iota(groups.begin(), groups.end(), 0);
  std::stable_sort(groups.begin(), groups.end(),
                   [&](int64_t a, int64_t b) { return more(order[a * group], order[b * group]); });
  std::vector<int64_t> sorted;
  for (const int64_t g : groups)
    sorted.insert(sorted.end(), order.begin() + g * group, order.begin() + (g + 1) * group);
  return sorted;
}

class Solver {
 public:
  Solver(const Tensor& weight, const std::vector<float>& factor, const std::vector<int64_t>& order,
         const GroupRounding& how, GroupCodes& out)
      : w_(weight.data<float>()),
        ut_(factor),
        order_(order),
        how_(how),
        f_(how.format),
        out_(out),
        weights_(out.cols) {
    for (int64_t k = 0; k < out.cols; ++k) {
      const float u = ut_[k * (out.cols + 1)];
      weights_[k] = 1 / (u * u);
    }
  }

  void Run(int64_t first, int64_t count) const {
    const int64_t d = out_.cols, size = f_.group;
    std::vector<float> w(d * kLanes);
    Tensor errors(DType::kFloat32, {size, kLanes});  // of a group, negated
    auto* const minus_error = errors.data<float>();
    for (int64_t k = 0; k < d; ++k)
      for (int64_t lane = 0; lane < count; ++lane)
        w[k * kLanes + lane] = w_[(first + lane) * d + order_[k]] / out_.outer;
    for (int64_t begin = 0; begin < d; begin += size) {
      const GroupTable table = ChooseScales(w.data() + begin * kLanes, begin, first, count);
      for (int64_t j = 0; j < size; ++j) RoundColumn(table, begin, j, first, count, w, minus_error);
      if (how_.correct) UpdateRest(begin, w, minus_error);
    }
  }

 private:
  // The table of rows with these scales and zero points: GroupFormat::Value.
  GroupTable TableOf(const float (&scale)[kLanes], const int (&zero)[kLanes]) const {
    GroupTable t;
    for (int i = 0; i < 16; ++i)
      for (int64_t lane = 0; lane < kLanes; ++lane)
        t.value[i][lane] = scale[lane] * (f_.zero_points ? static_cast<float>(i - zero[lane])
                                                         : f_.codes->values[i]);
    if (f_.fp8)
      for (auto& values : t.value)
        for (float& v : values) v = RoundToFp8(*f_.fp8, v);
    for (int i = 0; i < 15; ++i)
      for (int64_t lane = 0; lane < kLanes; ++lane)
        t.middle[i][lane] = 0.5f * (t.value[i][lane] + t.value[i + 1][lane]);
    return t;
  }

  struct Range {
    float lo = 0, hi = 0;
  };

  // Scales (and zero points) of a group, from its weights as they stand now.
  GroupTable ChooseScales(const float* w, int64_t begin, int64_t first, int64_t count) const {
    Range range[kLanes];
    for (int64_t j = 0; j < f_.group; ++j)
      for (int64_t lane = 0; lane < count; ++lane) {
        range[lane].lo = std::min(range[lane].lo, w[j * kLanes + lane]);
        range[lane].hi = std::max(range[lane].hi, w[j * kLanes + lane]);
      }
    constexpr float kSteps[] = {1,     0.97f, 0.94f, 0.91f, 0.88f, 0.85f, 0.82f, 0.79f,
                                0.76f, 0.73f, 0.70f, 0.67f, 0.64f, 0.6f,  0.56f, 0.52f};
    float least[kLanes], scale[kLanes] = {};
    int zero[kLanes] = {};
    std::fill(std::begin(least), std::end(least), INFINITY);
    const size_t steps = how_.search ? std::size(kSteps) : 1;
    for (size_t step = 0; step < steps; ++step) {
      float scales[kLanes];
      int zeros[kLanes] = {};
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        scales[lane] = Scale(range[lane], kSteps[step], zeros[lane]);
      }
      float sum[kLanes];
      errors_(TableOf(scales, zeros), w, weights_.data() + begin, f_.group, sum);
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        if (!(sum[lane] < least[lane])) continue;
        least[lane] = sum[lane], scale[lane] = scales[lane], zero[lane] = zeros[lane];
      }
    }
    const int64_t groups = out_.cols / f_.group, g = order_[begin] / f_.group;
    for (int64_t lane = 0; lane < count; ++lane) {
      out_.scales[(first + lane) * groups + g] = scale[lane];
      if (f_.zero_points)
        out_.zeros[(first + lane) * groups + g] = static_cast<uint8_t>(zero[lane]);
    }
    return TableOf(scale, zero);
  }

  // The nearest scale that the file can hold.
  float Stored(float scale) const {
    if (!f_.double_quant) return std::max(ToBFloat16(scale), __FLT_MIN__);
    const uint8_t code = FloatToUnsignedE3M5(scale / out_.unit);
    return out_.unit * UnsignedE3M5ToFloat(std::max<uint8_t>(code, 1));
  }

  float Scale(Range r, float shrink, int& zero) const {
    float scale;
    if (f_.zero_points) {
      scale = Stored(shrink * (r.hi - r.lo) / 15);
      zero = std::clamp(static_cast<int>(std::nearbyint(-shrink * r.lo / scale)), 0, 15);
    } else {
      scale = Stored(shrink * std::max(-r.lo, r.hi) / Largest(f_));
    }
    return scale;
  }

  void RoundColumn(const GroupTable& t, int64_t begin, int64_t j, int64_t first, int64_t count,
                   std::vector<float>& w, float* minus_error) const {
    const int64_t d = out_.cols, k = begin + j;
    float* x = w.data() + k * kLanes;
    float* e = minus_error + j * kLanes;
    const float u = ut_[k * (d + 1)];
    int32_t code[kLanes];
    for (int64_t h = 0; h < kLanes; h += 8) {
      const vmath::F8 v = vmath::Load(x + h);
      vmath::F8 best = vmath::Load(t.value[0] + h);
      vmath::I8 above = {};
#pragma GCC unroll 15
      for (int i = 0; i < 15; ++i) {
        const vmath::I8 is = v > vmath::Load(t.middle[i] + h);  // all ones where true
        above -= is;
        best = is ? vmath::Load(t.value[i + 1] + h) : best;
      }
      vmath::Store(code + h, above);
      vmath::Store(e + h, (best - v) / u);
    }
    for (int64_t lane = 0; lane < count; ++lane)
      out_.codes[(first + lane) * d + order_[k]] = static_cast<uint8_t>(code[lane]);
    if (!how_.correct) return;
    for (int64_t i = j + 1; i < f_.group; ++i) {
      const float f = ut_[(begin + i) * d + k];
      float* to = w.data() + (begin + i) * kLanes;
      for (int64_t h = 0; h < kLanes; h += 8)
        vmath::Store(to + h, vmath::Load(to + h) + f * vmath::Load(e + h));
    }
  }

  // The columns after the group take up its errors.
  void UpdateRest(int64_t begin, std::vector<float>& w, const float* minus_error) const {
    const int64_t d = out_.cols, first = begin + f_.group;
    std::vector<const float*> factors(d - first);
    for (int64_t k = first; k < d; ++k) factors[k - first] = ut_.data() + k * d + begin;
    const PackedB errors = PackedB::View(minus_error, f_.group, kLanes, f_.group * kLanes);
    float* const rest = w.data() + first * kLanes;
    SgemmBlock({factors.data(), 1, f_.group}, d - first, errors, 0, 1, rest, kLanes,
               {rest, kLanes});
  }

  const float* w_;
  const std::vector<float>& ut_;
  const std::vector<int64_t>& order_;
  const GroupRounding& how_;
  const GroupFormat& f_;
  GroupCodes& out_;
  std::vector<float> weights_;  // of errors, by column
  GroupErrors& errors_ =
      CurrentIsa() == Isa::kAvx512Vnni ? MEZZO_X86(GroupErrorsAvx512) : GroupErrorsAvx2;
};

// The least power of two that `x` is not above, at least 2^-100; 1 for 0.
float PowerOfTwoFrom(float x) {
  return x > 0 ? std::max(std::exp2(std::ceil(std::log2(x))), 0x1p-100f) : 1;
}

}  // namespace

GroupCodes RoundGroups(const Tensor& weight, const Hessian& h, const GroupRounding& how,
                       const Threads& threads, double* damping) {
  GroupCodes out{how.format, weight.dim(0), weight.dim(1)};
  const int64_t group = how.format.group, d = out.cols;
  Require(group > 0 && d % group == 0, "groups of ", group, " do not divide ", d, " inputs");
  const float most = vmath::LargestMagnitude(weight.data<float>(), weight.numel());
  Require(std::isfinite(most), "a weight is not finite");
  // The largest weight at the largest value but a fifteenth, which leaves code -8 room:
  // METHODS 4.4.
  if (const auto& fp8 = how.format.fp8)
    out.outer = PowerOfTwoFrom(most / (fp8->max - fp8->max / 15));
  // Codes go on to twice the unit, for weights that take up the errors of others.
  if (how.format.double_quant) out.unit = PowerOfTwoFrom(most / out.outer / Largest(how.format));
  out.codes.resize(weight.numel());
  out.scales.resize(out.rows * out.groups());
  if (how.format.zero_points) out.zeros.resize(out.rows * out.groups());
  std::vector<int64_t> order(d);
  std::iota(order.begin(), order.end(), 0);
  if (how.reorder && how.correct) order = GroupAwareOrder(h, group);
  std::vector<float> factor;
  if (how.correct) {
    factor = InverseFactor(h, order, how.damping, threads, damping);
  } else {
    factor.resize(d * d);
    for (int64_t i = 0; i < d; ++i) factor[i * (d + 1)] = 1 / std::sqrt(h.At(i, i) + 1e-30f);
  }
  const Solver solver(weight, factor, order, how, out);
  threads.Each(static_cast<size_t>((out.rows + kLanes - 1) / kLanes), [&](size_t tile, size_t) {
    const int64_t first = static_cast<int64_t>(tile) * kLanes;
    solver.Run(first, std::min(kLanes, out.rows - first));
  });
  return out;
}

}  // namespace mezzo
