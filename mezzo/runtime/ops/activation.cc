// Activations: functions of one real number with parameters from the node.
#include <cmath>

#include "mezzo/runtime/ops/families.h"
#include "mezzo/runtime/ops/map.h"

namespace mezzo {
namespace {

using vmath::F8;

struct ReluOp {
  template <class V>
  V operator()(V x) const {
    if constexpr (std::is_same_v<V, F8>)
      return x < 0.0f ? F8{} : x;
    else
      return x < V{} ? V{} : x;
  }
};

struct SigmoidOp {
  static constexpr auto kStep = vmath::Step::Kind::kSigmoid;
  double operator()(double x) const { return 1 / (1 + std::exp(-x)); }
};
struct TanhOp {
  static constexpr auto kStep = vmath::Step::Kind::kTanh;
  double operator()(double x) const { return std::tanh(x); }
};

// The formulas below hold for float vectors and double scalars alike: V is either.
#define MEZZO_BOTH_FORMS                        \
  F8 operator()(F8 x) const { return Eval(x); } \
  double operator()(double x) const { return Eval(x); }

template <class V>
V Const(float c) {
  return c - V{};
}

struct LeakyReluOp {
  float alpha;
  explicit LeakyReluOp(const Node& n) : alpha(n.Float("alpha", 0.01f)) {}
  template <class V>
  V Eval(V x) const {
    return x < V{} ? x * alpha : x;
  }
  MEZZO_BOTH_FORMS
};
struct HardSigmoidOp {
  float alpha, beta;
  explicit HardSigmoidOp(const Node& n)
      : alpha(n.Float("alpha", 0.2f)), beta(n.Float("beta", 0.5f)) {}
  template <class V>
  V Eval(V x) const {
    const V y = x * alpha + beta;
    return y < V{} ? V{} : y > Const<V>(1) ? Const<V>(1) : y;
  }
  MEZZO_BOTH_FORMS
};
struct HardSwishOp {
  template <class V>
  V Eval(V x) const {
    const V y = x * (1.0f / 6) + 0.5f;
    return x * (y < V{} ? V{} : y > Const<V>(1) ? Const<V>(1) : y);
  }
  MEZZO_BOTH_FORMS
};
struct SwishOp {
  float alpha;
  explicit SwishOp(const Node& n) : alpha(n.Float("alpha", 1.0f)) {}
  F8 operator()(F8 x) const { return x * vmath::Sigmoid(x * alpha); }
  double operator()(double x) const { return x / (1 + std::exp(-alpha * x)); }
};
struct SoftsignOp {
  template <class V>
  V Eval(V x) const {
    return x / (1.0f + (x < V{} ? -x : x));
  }
  MEZZO_BOTH_FORMS
};
struct ThresholdedReluOp {
  float alpha;
  explicit ThresholdedReluOp(const Node& n) : alpha(n.Float("alpha", 1.0f)) {}
  template <class V>
  V Eval(V x) const {
    return x > Const<V>(alpha) ? x : V{};
  }
  MEZZO_BOTH_FORMS
};
struct ShrinkOp {
  float lambda, bias;
  explicit ShrinkOp(const Node& n) : lambda(n.Float("lambd", 0.5f)), bias(n.Float("bias", 0)) {}
  template <class V>
  V Eval(V x) const {
    return x < Const<V>(-lambda) ? x + bias : x > Const<V>(lambda) ? x - bias : V{};
  }
  MEZZO_BOTH_FORMS
};
#undef MEZZO_BOTH_FORMS

struct EluOp {
  float alpha;
  explicit EluOp(const Node& n) : alpha(n.Float("alpha", 1.0f)) {}
  double operator()(double x) const { return x < 0 ? alpha * std::expm1(x) : x; }
};
struct CeluOp {
  float alpha;
  explicit CeluOp(const Node& n) : alpha(n.Float("alpha", 1.0f)) {}
  double operator()(double x) const { return x < 0 ? alpha * std::expm1(x / alpha) : x; }
};
struct SeluOp {
  float alpha, gamma;
  explicit SeluOp(const Node& n)
      : alpha(n.Float("alpha", 1.67326319217681884765625f)),
        gamma(n.Float("gamma", 1.05070102214813232421875f)) {}
  double operator()(double x) const { return gamma * (x < 0 ? alpha * std::expm1(x) : x); }
};
double SoftplusOf(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }
struct SoftplusOp {
  double operator()(double x) const { return SoftplusOf(x); }
};
struct MishOp {
  double operator()(double x) const { return x * std::tanh(SoftplusOf(x)); }
};

struct GeluOp {
  F8 operator()(F8 x) const { return vmath::Gelu(x); }
  double operator()(double x) const { return 0.5 * x * std::erfc(-x * M_SQRT1_2); }
};
struct GeluTanhOp {
  F8 operator()(F8 x) const { return vmath::GeluTanh(x); }
  double operator()(double x) const {
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  }
};

void Gelu(OpContext& ctx) {
  const std::string form = ctx.node.String("approximate", "none");
  Require(form == "none" || form == "tanh", "approximate is \"", form, "\", needs none or tanh");
  form == "tanh" ? RealUnary<GeluTanhOp>(ctx) : RealUnary<GeluOp>(ctx);
}

template <class F>
void Add(OpTable& table, const char* name) {
  table.Add(name, &ViaFloat<&RealUnary<F>>, true);
}

}  // namespace

void AddActivation(OpTable& table) {
  table.Add("Relu", &ViaFloat<&NumberUnary<ReluOp>>, true);
  table.Add("Gelu", &ViaFloat<&Gelu>, true);
  Add<SigmoidOp>(table, "Sigmoid");
  Add<TanhOp>(table, "Tanh");
  Add<LeakyReluOp>(table, "LeakyRelu");
  Add<HardSigmoidOp>(table, "HardSigmoid");
  Add<HardSwishOp>(table, "HardSwish");
  Add<SwishOp>(table, "Swish");
  Add<SoftsignOp>(table, "Softsign");
  Add<ThresholdedReluOp>(table, "ThresholdedRelu");
  Add<ShrinkOp>(table, "Shrink");
  Add<EluOp>(table, "Elu");
  Add<CeluOp>(table, "Celu");
  Add<SeluOp>(table, "Selu");
  Add<SoftplusOp>(table, "Softplus");
  Add<MishOp>(table, "Mish");
}

}  // namespace mezzo
