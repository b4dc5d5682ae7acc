#include "mezzo/runtime/decoder/linear.h"

#include <algorithm>
#include <numeric>

#include "mezzo/runtime/ops/quantize_rows.h"

namespace mezzo {
namespace {

constexpr int64_t kFewTokens = 6;  // whose A x is less than waking the threads

std::vector<JoinedLinears::Weights> Read(const LanguageModel& model, int64_t layer,
                                         const std::vector<JoinedLinears::Part>& parts,
                                         int64_t inputs) {
  std::vector<JoinedLinears::Weights> all;
  for (const auto& [module, outputs] : parts) {
    const Shape shape{outputs, inputs};
    auto& w = all.emplace_back(JoinedLinears::Weights{model.ReadMatrix(module, layer, shape)});
    if (layer < 0) continue;
    if (const std::string bias = module + ".bias"; model.Holds(bias, layer))
      w.bias = model.ReadVector(bias, layer, outputs);
    w.path = model.Path(module, layer, shape);
  }
  return all;
}

}  // namespace

JoinedLinears::JoinedLinears(const LanguageModel& model, int64_t layer,
                             const std::vector<Part>& parts, int64_t inputs, const Threads& threads)
    : JoinedLinears(
          Read(model, layer, parts, inputs), inputs,
          layer >= 0 && model.config().quantization ? &*model.config().quantization : nullptr,
          threads) {}

JoinedLinears::JoinedLinears(const std::vector<Weights>& layers, int64_t inputs,
                             const LlmQuantization* q, const Threads& threads)
    : inputs_(inputs) {
  if (q) {
    activations_ = q->activations;
    activation_group_ = q->activation_group > 0 ? q->activation_group : inputs;
    group_ = std::gcd(q->format.group, activation_group_);
  }
  for (const Weights& w : layers) {
    layers_.push_back(Pack(w, threads));
    outputs_ += layers_.back().outputs;
  }
  PackPaths(layers, threads);
}

void JoinedLinears::PackPaths(const std::vector<Weights>& layers, const Threads& threads) {
  std::vector<float> a;
  for (size_t i = 0; i < layers.size(); ++i) {
    const LowRank* path = layers[i].path;
    if (!path) continue;
    const int64_t rank = path->rank();
    layers_[i].path = ranks_;
    layers_[i].rank = rank;
    layers_[i].b = PackedB(path->b.data<float>(), rank, layers_[i].outputs, 1, rank, threads);
    a.insert(a.end(), path->a.data<float>(), path->a.data<float>() + path->a.numel());
    ranks_ += rank;
  }
  if (ranks_ > 0) paths_ = PackedB(a.data(), inputs_, ranks_, 1, inputs_, threads);
}

JoinedLinears::Layer JoinedLinears::Pack(const Weights& w, const Threads& threads) const {
  Layer made{{}, {}, outputs_};
  if (w.bias.numel() > 0) {
    const auto bias = w.bias.span<float>();
    made.bias.assign(bias.begin(), bias.end());
  }
  if (const auto* groups = std::get_if<GroupCodes>(&w.matrix)) {
    made.outputs = groups->rows;
    made.integers =
        activations_ == "int8" && group_ % 8 == 0 && PackedGroups::HasIntegers(groups->format);
    made.weights = PackedGroups(*groups, made.integers ? group_ : 0);
  } else if (const auto* rows = std::get_if<RowCodes>(&w.matrix)) {
    made.outputs = rows->rows;
    made.weights = PackedRows(*rows, threads);
  } else {
    const auto& matrix = std::get<Tensor>(w.matrix);
    made.outputs = matrix.dim(0);
    made.weights = PackedB(matrix.data<float>(), inputs_, made.outputs, 1, inputs_, threads);
  }
  return made;
}

int64_t JoinedLinears::bytes() const {
  const auto packed = [](const PackedB& b) { return b.k() * b.panels() * PackedB::kWidth * 4; };
  int64_t sum = ranks_ > 0 ? packed(paths_) : 0;
  for (const Layer& l : layers_) {
    if (l.rank > 0) sum += packed(l.b);
    if (const auto* b = std::get_if<PackedB>(&l.weights))
      sum += packed(*b);
    else if (const auto* rows = std::get_if<PackedRows>(&l.weights))
      sum += rows->bytes();
    else
      sum += std::get<PackedGroups>(l.weights).bytes();
  }
  return sum;
}

bool JoinedLinears::integers() const {
  return std::all_of(layers_.begin(), layers_.end(), [](const Layer& l) {
    return l.integers || std::holds_alternative<PackedRows>(l.weights);
  });
}

const float* JoinedLinears::Rounded(const float* x, int64_t tokens, std::vector<float>& rounded,
                                    const Threads& threads) const {
  if (activations_ == "float") return x;
  rounded.resize(tokens * inputs_);
  threads.For(tokens, 1 + 4096 / inputs_, [&](size_t begin, size_t end) {
    for (auto i = static_cast<int64_t>(begin) * inputs_; i < static_cast<int64_t>(end) * inputs_;
         i += activation_group_)
      QuantizeGroup(x + i, activation_group_, activations_ == "fp8", rounded.data() + i);
  });
  return rounded.data();
}

std::vector<float> JoinedLinears::PathInputs(const float* x, int64_t tokens,
                                             const Threads& threads) const {
  std::vector<float> narrow(tokens * ranks_);
  if (ranks_ > 0)
    Sgemm(x, inputs_, tokens, paths_, narrow.data(), ranks_, {},
          tokens > kFewTokens ? threads : Threads());
  return narrow;
}

GroupProduct JoinedLinears::ProductOf(const Layer& l, float* y, int64_t y_stride,
                                      const float* path_inputs) const {
  return {&std::get<PackedGroups>(l.weights),
          y,
          y_stride,
          l.bias.empty() ? nullptr : l.bias.data(),
          l.rank > 0 ? &l.b : nullptr,
          path_inputs + l.path,
          ranks_};
}

GroupActivations JoinedLinears::Codes(const float* x, int64_t tokens,
                                      const Threads& threads) const {
  GroupActivations codes;
  codes.Round(x, inputs_, tokens, inputs_, activation_group_, group_, threads);
  return codes;
}

bool JoinedLinears::CanGate() const {
  return layers_.size() == 2 && layers_[0].outputs == layers_[1].outputs && layers_[0].integers &&
         layers_[1].integers;
}

void JoinedLinears::RunGated(const float* x, int64_t tokens, float* y,
                             const Threads& threads) const {
  Require(CanGate(), "layers without a gated product");
  const std::vector<float> narrow = PathInputs(x, tokens, threads);
  const auto product = [&](const Layer& l) { return ProductOf(l, y, l.outputs, narrow.data()); };
  GroupGemmGated(Codes(x, tokens, threads), product(layers_[0]), product(layers_[1]), threads);
}

void JoinedLinears::Run(const float* x, int64_t tokens, float* y, const Threads& threads) const {
  const std::vector<float> narrow = PathInputs(x, tokens, threads);
  std::vector<GroupProduct> integers, floats;
  for (const Layer& l : layers_)
    if (std::holds_alternative<PackedGroups>(l.weights))
      (l.integers ? integers : floats)
          .push_back(ProductOf(l, y + l.first, outputs_, narrow.data()));
  if (!integers.empty()) GroupGemm(Codes(x, tokens, threads), integers, threads);
  if (integers.size() < layers_.size()) {
    std::vector<float> rounded;
    const float* in = Rounded(x, tokens, rounded, threads);
    GroupGemmFloat(in, inputs_, tokens, floats, threads);
    for (const Layer& l : layers_) {
      if (std::holds_alternative<PackedGroups>(l.weights)) continue;
      float* const to = y + l.first;
      if (const auto* rows = std::get_if<PackedRows>(&l.weights)) {
        RowGemm(in, inputs_, tokens, *rows, to, outputs_, threads);
        for (int64_t t = 0; t < tokens; ++t)
          for (size_t i = 0; i < l.bias.size(); ++i) to[t * outputs_ + i] += l.bias[i];
      } else {  // a bias begins the chain, as in Gemm
        Sgemm(in, inputs_, tokens, std::get<PackedB>(l.weights), to, outputs_,
              {l.bias.empty() ? nullptr : l.bias.data(), 0}, threads);
      }
      if (l.rank > 0)
        Sgemm(narrow.data() + l.path, ranks_, tokens, l.b, to, outputs_, {to, outputs_}, threads);
    }
  }
}

}  // namespace mezzo
