#include "mezzo/evaluate/perplexity.h"

#include <algorithm>
#include <cmath>

#include "mezzo/evaluate/metric.h"
#include "mezzo/kernels/vmath/vmath.h"

namespace mezzo {
namespace {

constexpr int64_t kRows = 64;  // of logits at a time and thread

// Logits of one token's successor, less the logarithm of their exponentials' sum: log p = x - sum.
struct Distribution {
  const float* x;
  int64_t n;
  double sum;
  int64_t top;

  Distribution(const float* logits, int64_t size, float* scratch) : x(logits), n(size) {
    top = std::max_element(x, x + n) - x;
    const float most = x[top];
    vmath::Map(x, scratch, n, [&](vmath::F8 v) { return vmath::Exp(v - most); });
    sum = most + std::log(vmath::SumOf(scratch, n));
  }
  double LogP(int64_t i) const { return x[i] - sum; }
};

// Sum of p (log p - log q) over the vocabulary.
double Kl(const Distribution& p, const Distribution& q, float* scratch) {
  const auto shift = static_cast<float>(p.sum);
  const auto apart = static_cast<float>(q.sum - p.sum);
  for (int64_t i = 0; i < p.n; ++i) scratch[i] = p.x[i] - shift;
  vmath::Map(scratch, scratch, p.n, [](vmath::F8 v) { return vmath::Exp(v); });
  double kl = 0;
  for (int64_t i = 0; i < p.n; ++i) kl += double(scratch[i]) * double(p.x[i] - q.x[i] + apart);
  return kl;
}

// What one scored token adds.
struct TokenScore {
  double nll = 0, reference_nll = 0, kl = 0;
  bool same_top = false;
};

template <class F>
Mean MeanOver(const std::vector<TokenScore>& scores, F f) {
  RunningMean mean;
  for (const TokenScore& s : scores) mean.Add(f(s));
  return {mean.mean(), mean.standard_error()};
}

// exp of a mean, with the error that follows.
Mean Exponential(const Mean& m) { return {std::exp(m.value), std::exp(m.value) * m.error}; }

Divergence Summary(const std::vector<TokenScore>& scores) {
  Divergence d;
  d.kl = MeanOver(scores, [](const TokenScore& s) { return s.kl; });
  d.same_top = MeanOver(scores, [](const TokenScore& s) { return s.same_top ? 1.0 : 0.0; });
  d.perplexity_ratio =
      Exponential(MeanOver(scores, [](const TokenScore& s) { return s.nll - s.reference_nll; }));
  std::vector<double> kl;
  for (const TokenScore& s : scores) kl.push_back(s.kl);
  std::sort(kl.begin(), kl.end());
  const auto at = [&](double share) {
    return kl[static_cast<size_t>(share * static_cast<double>(kl.size() - 1) + 0.5)];
  };
  d.median = at(0.5), d.percentile999 = at(0.999), d.max = kl.back();
  return d;
}

bool Decodes(const LanguageModel& model, const ReadOptions& options) {
  return model.config().quantization || options.kv != KvFormat::kFloat;
}

}  // namespace

std::vector<Window> CutWindows(const std::vector<int32_t>& tokens, size_t context, size_t limit,
                               std::optional<int32_t> bos) {
  Require(context >= 4, "windows of ", context, " tokens, needs at least 4");
  Require(tokens.size() >= context, "the text has ", tokens.size(), " tokens, needs a window of ",
          context);
  size_t count = tokens.size() / context;
  if (limit > 0) count = std::min(count, limit);
  std::vector<Window> windows;
  for (size_t i = 0; i < count; ++i) {
    const auto begin = tokens.begin() + static_cast<int64_t>(i * context);
    windows.emplace_back(begin, begin + static_cast<int64_t>(context));
    if (bos) windows.back()[0] = *bos;
  }
  return windows;
}

std::function<Tensor(const Tensor&)> GraphHead(Graph head) {
  const auto graph = std::make_shared<const Graph>(std::move(head));
  const auto session = std::make_shared<const Session>(*graph, SessionOptions{});
  return [graph, session](const Tensor& rows) { return session->Run({{"x", rows}})[0]; };
}

size_t ReadSteps(const LanguageModel& model, const std::vector<Window>& windows,
                 const ReadOptions& options) {
  return Decodes(model, options) ? windows.size() : static_cast<size_t>(model.config().layers);
}

FinalStates ReadText(const LanguageModel& model, const std::vector<Window>& windows,
                     const ReadOptions& options, const std::function<void()>& step) {
  if (!Decodes(model, options))
    return {RunBlocks(model, windows, options.threads, step), GraphHead(model.Head())};
  size_t longest = 1;
  for (const Window& w : windows) longest = std::max(longest, w.size());
  const auto decoder = std::make_shared<Decoder>(
      model, DecoderOptions{static_cast<int64_t>(longest), options.kv, options.threads});
  FinalStates states{{}, [decoder](const Tensor& rows) { return decoder->Logits(rows); }};
  for (const Window& w : windows) {
    decoder->Rewind(0);
    states.hidden.push_back(decoder->Read(w));
    if (step) step();
  }
  return states;
}

TextScore ScoreText(const FinalStates& model, const FinalStates* reference,
                    const std::vector<Window>& windows, const Threads& threads) {
  Require(!windows.empty(), "no windows of text to score");
  // Token j + 1 is scored for j from half the window on.
  const auto length = static_cast<int64_t>(windows.at(0).size());
  const int64_t first = length / 2, scored = length - 1 - first;
  const int64_t runs = (scored + kRows - 1) / kRows;
  std::vector<TokenScore> scores(windows.size() * static_cast<size_t>(scored));
  threads.Each(windows.size() * static_cast<size_t>(runs), [&](size_t job, size_t) {
    const size_t w = job / static_cast<size_t>(runs);
    const int64_t begin = first + static_cast<int64_t>(job) % runs * kRows;
    const int64_t end = std::min(begin + kRows, length - 1);
    const Tensor q = model.head(CopyRows(model.hidden[w], begin, end));
    const Tensor p =
        reference ? reference->head(CopyRows(reference->hidden[w], begin, end)) : Tensor();
    const int64_t n = q.dim(1);
    Require(!reference || p.dim(1) == n, "a reference with ", reference ? p.dim(1) : 0,
            " tokens in its vocabulary for a model with ", n);
    std::vector<float> scratch(n);
    for (int64_t j = begin; j < end; ++j) {
      TokenScore& s = scores[w * static_cast<size_t>(scored) + static_cast<size_t>(j - first)];
      const int32_t next = windows[w][static_cast<size_t>(j) + 1];
      const Distribution dq(q.data<float>() + (j - begin) * n, n, scratch.data());
      s.nll = -dq.LogP(next);
      if (!reference) continue;
      const Distribution dp(p.data<float>() + (j - begin) * n, n, scratch.data());
      s.reference_nll = -dp.LogP(next);
      s.kl = Kl(dp, dq, scratch.data());
      s.same_top = dp.top == dq.top;
    }
  });
  TextScore score{windows.size(),
                  scores.size(),
                  Exponential(MeanOver(scores, [](const TokenScore& s) { return s.nll; })),
                  {}};
  if (reference) score.divergence = Summary(scores);
  return score;
}

}  // namespace mezzo
