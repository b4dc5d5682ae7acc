#include "mezzo/cli/evaluate_text.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "mezzo/base/files.h"
#include "mezzo/base/progress.h"
#include "mezzo/evaluate/perplexity.h"
#include "mezzo/import/tokenizer/tokenizer.h"

namespace mezzo {
namespace {

nlohmann::ordered_json Json(const Mean& m) {
  return {{"value", m.value}, {"standard_error", m.error}};
}

nlohmann::ordered_json Json(const TextOptions& o, const TextScore& s) {
  nlohmann::ordered_json json{{"model", o.model},
                              {"context", o.context},
                              {"windows", s.windows},
                              {"tokens", s.tokens},
                              {"perplexity", Json(s.perplexity)}};
  if (const auto& d = s.divergence)
    json["divergence"] = {{"reference", o.reference},
                          {"kl", Json(d->kl)},
                          {"kl_median", d->median},
                          {"kl_99.9%", d->percentile999},
                          {"kl_max", d->max},
                          {"same_top1", Json(d->same_top)},
                          {"perplexity_ratio", Json(d->perplexity_ratio)}};
  return json;
}

void Print(const TextScore& s) {
  std::printf("perplexity %.4f +- %.4f on %zu tokens of %zu windows\n", s.perplexity.value,
              s.perplexity.error, s.tokens, s.windows);
  const auto& d = s.divergence;
  if (!d) return;
  std::printf("against the reference: KL %.6f +- %.6f (median %.6f, 99.9%% %.4f, max %.4f)\n",
              d->kl.value, d->kl.error, d->median, d->percentile999, d->max);
  std::printf("same top-1 %.2f%% +- %.2f%%, perplexity x%.4f +- %.4f\n", 100 * d->same_top.value,
              100 * d->same_top.error, d->perplexity_ratio.value, d->perplexity_ratio.error);
}

}  // namespace

Tokenizer TokenizerOf(const std::string& model) {
  return ReadTokenizer(LanguageModel::TokenizerPath(model));
}

std::vector<Window> WindowsOf(const Tokenizer& tokenizer, const std::string& text, size_t context,
                              size_t limit) {
  const std::vector<int32_t> tokens = tokenizer.Encode(text, true);
  const bool begins = !tokens.empty() && tokenizer.bos() == tokens[0];
  return CutWindows(tokens, context, limit, begins ? tokenizer.bos() : std::nullopt);
}

void EvaluateText(const TextOptions& o) {
  const LanguageModel model = LanguageModel::Open(o.model);
  std::optional<LanguageModel> reference;
  if (!o.reference.empty()) reference = LanguageModel::Open(o.reference);
  const auto windows = WindowsOf(TokenizerOf(o.model), ReadFile(o.text), o.context, o.windows);
  const Threads threads(o.threads);
  const ReadOptions ours{threads, KvFormatFor(model, o.kv)}, plain{threads};
  Progress progress("evaluating", ReadSteps(model, windows, ours) +
                                      (reference ? ReadSteps(*reference, windows, plain) : 0));
  const auto step = [&] { progress.Step(); };
  const FinalStates states = ReadText(model, windows, ours, step);
  std::optional<FinalStates> truth;
  if (reference) truth = ReadText(*reference, windows, plain, step);
  const TextScore score = ScoreText(states, truth ? &*truth : nullptr, windows, threads);
  if (o.json)
    std::printf("%s\n", Json(o, score).dump(1).c_str());
  else
    Print(score);
}

}  // namespace mezzo
