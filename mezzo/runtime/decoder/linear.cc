#include "mezzo/runtime/decoder/linear.h"

#include <algorithm>
#include <numeric>

#include "mezzo/runtime/ops/quantize_rows.h"

namespace mezzo {

JoinedLinears::JoinedLinears(const LanguageModel& model, int64_t layer,
                             const std::vector<Part>& parts, int64_t inputs, const Threads& threads)
    : inputs_(inputs) {
  if (const auto& q = model.config().quantization; q && layer >= 0) {
    activations_ = q->activations;
    activation_group_ = q->activation_group > 0 ? q->activation_group : inputs;
    group_ = std::gcd(q->format.group, activation_group_);
  }
  for (const Part& part : parts) {
    layers_.push_back(Read(model, layer, part, threads));
    outputs_ += part.outputs;
  }
  ReadPaths(model, layer, parts, threads);
}

void JoinedLinears::ReadPaths(const LanguageModel& model, int64_t layer,
                              const std::vector<Part>& parts, const Threads& threads) {
  std::vector<float> a;
  for (size_t i = 0; i < parts.size(); ++i) {
    const LowRank* path =
        layer < 0 ? nullptr : model.Path(parts[i].module, layer, {parts[i].outputs, inputs_});
    if (!path) continue;
    const int64_t rank = path->rank();
    layers_[i].path = ranks_;
    layers_[i].rank = rank;
    layers_[i].b = PackedB(path->b.data<float>(), rank, parts[i].outputs, 1, rank, threads);
    a.insert(a.end(), path->a.data<float>(), path->a.data<float>() + path->a.numel());
    ranks_ += rank;
  }
  if (ranks_ > 0) paths_ = PackedB(a.data(), inputs_, ranks_, 1, inputs_, threads);
}

JoinedLinears::Layer JoinedLinears::Read(const LanguageModel& model, int64_t layer,
                                         const Part& part, const Threads& threads) {
  Layer made{{}, {}, outputs_};
  if (const std::string bias = part.module + ".bias"; layer >= 0 && model.Holds(bias, layer)) {
    const Tensor b = model.ReadVector(bias, layer, part.outputs);
    made.bias.assign(b.span<float>().begin(), b.span<float>().end());
  }
  const auto matrix = model.ReadMatrix(part.module, layer, {part.outputs, inputs_});
  if (const auto* groups = std::get_if<GroupCodes>(&matrix)) {
    made.integers =
        activations_ == "int8" && group_ % 8 == 0 && PackedGroups::HasIntegers(groups->format);
    made.weights = PackedGroups(*groups, made.integers ? group_ : 0);
  } else if (const auto* rows = std::get_if<RowCodes>(&matrix)) {
    made.weights = PackedRows(*rows, threads);
  } else {
    const auto* w = std::get<Tensor>(matrix).data<float>();
    made.weights = PackedB(w, inputs_, part.outputs, 1, inputs_, threads);
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

void JoinedLinears::Run(const float* x, int64_t tokens, float* y, const Threads& threads) const {
  std::vector<GroupProduct> integers, floats;
  for (const Layer& l : layers_)
    if (const auto* w = std::get_if<PackedGroups>(&l.weights))
      (l.integers ? integers : floats).push_back({w, y + l.first, outputs_});
  if (!integers.empty()) {
    GroupActivations codes;
    codes.Round(x, inputs_, tokens, inputs_, activation_group_, group_, threads);
    GroupGemm(codes, integers, threads);
  }
  if (integers.size() < layers_.size()) {
    std::vector<float> rounded;
    const float* in = Rounded(x, tokens, rounded, threads);
    GroupGemmFloat(in, inputs_, tokens, floats, threads);
    for (const Layer& l : layers_) {
      if (const auto* rows = std::get_if<PackedRows>(&l.weights))
        RowGemm(in, inputs_, tokens, *rows, y + l.first, outputs_, threads);
      // A bias begins the chain, as in Gemm.
      const GemmInit init{l.bias.empty() ? nullptr : l.bias.data(), 0};
      if (const auto* w = std::get_if<PackedB>(&l.weights))
        Sgemm(in, inputs_, tokens, *w, y + l.first, outputs_, init, threads);
    }
  }
  for (const Layer& l : layers_) {
    if (l.bias.empty() || std::holds_alternative<PackedB>(l.weights)) continue;
    for (int64_t t = 0; t < tokens; ++t)
      for (size_t i = 0; i < l.bias.size(); ++i) y[t * outputs_ + l.first + i] += l.bias[i];
  }
  if (ranks_ > 0) RunPaths(x, tokens, y, threads);
}

void JoinedLinears::RunPaths(const float* x, int64_t tokens, float* y,
                             const Threads& threads) const {
  std::vector<float> narrow(tokens * ranks_);
  Sgemm(x, inputs_, tokens, paths_, narrow.data(), ranks_, {}, threads);
  for (const Layer& l : layers_)
    if (l.rank > 0)
      Sgemm(narrow.data() + l.path, ranks_, tokens, l.b, y + l.first, outputs_,
            {y + l.first, outputs_}, threads);
}

}  // namespace mezzo
