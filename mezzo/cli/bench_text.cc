#include "mezzo/cli/bench_text.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "mezzo/cli/options.h"
#include "mezzo/report/machine_peak.h"
#include "mezzo/report/measure.h"
#include "mezzo/runtime/decoder/decoder.h"
#include "mezzo/runtime/decoder/sampler.h"

namespace mezzo {
namespace {

struct Times {
  std::vector<double> prompt, tokens;  // seconds, by run
};

Times Measure(Decoder& decoder, const BenchTextOptions& o, int64_t vocabulary) {
  std::vector<int32_t> prompt(o.prompt);
  for (int64_t i = 0; i < o.prompt; ++i) prompt[i] = static_cast<int32_t>(i * 7919 % vocabulary);
  Times times;
  for (int run = 0; run <= o.runs; ++run) {
    decoder.Rewind(0);
    const Stopwatch reading;
    Tensor hidden = decoder.Read(prompt);
    int32_t next = Likeliest(LastLogits(decoder, hidden));
    const double read = reading.Seconds();
    decoder.Rewind(std::min(o.depth, o.prompt));
    const Stopwatch making;
    for (int64_t i = 0; i < o.tokens; ++i)
      next = Likeliest(LastLogits(decoder, decoder.Read({&next, 1})));
    if (run == 0) continue;  // the first one warms up
    times.prompt.push_back(read);
    times.tokens.push_back(making.Seconds());
  }
  return times;
}

}  // namespace

void BenchText(const BenchTextOptions& o, bool json) {
  Require(o.depth <= o.prompt, "--depth: got ", o.depth, ", needs at most the --prompt of ",
          o.prompt);
  const LanguageModel model = LanguageModel::Open(o.model);
  const Threads threads(o.threads);
  const Stopwatch loading;
  Decoder decoder(model, {o.prompt + o.tokens, KvFormatFor(model, o.kv), threads});
  const double load = loading.Seconds();
  const Times times = Measure(decoder, o, model.config().vocabulary);
  const double prompt = static_cast<double>(o.prompt) / Median(times.prompt);
  const double tokens = static_cast<double>(o.tokens) / Median(times.tokens);
  const double bandwidth = ReadBandwidth(threads);
  const double read = tokens * static_cast<double>(decoder.weight_bytes());
  if (json) {
    const nlohmann::ordered_json j{
        {"model", o.model},
        {"threads", threads.count()},
        {"runs", o.runs},
        {"prompt_tokens", o.prompt},
        {"prompt_tokens_per_second", prompt},
        {"depth", o.depth},
        {"generated_tokens", o.tokens},
        {"generated_tokens_per_second", tokens},
        {"weight_bytes", decoder.weight_bytes()},
        {"cache_bytes", decoder.cache_bytes()},
        {"integer_share", decoder.integer_share()},
        {"read_bandwidth_bytes_per_second", bandwidth},
        {"bandwidth_share", read / bandwidth},
        {"prompt_multiply_adds_per_second", prompt * double(decoder.multiply_adds())},
        {"load_ms", load * 1e3},
        {"peak_memory_bytes", PeakMemoryBytes()}};
    std::printf("%s\n", j.dump(1).c_str());
    return;
  }
  std::printf("%s, %zu threads: reads %lld tokens at %.1f a second, makes %lld at %.1f a second\n",
              o.model.c_str(), threads.count(), static_cast<long long>(o.prompt), prompt,
              static_cast<long long>(o.tokens), tokens);
  std::printf(
      "weights %s, %.0f%% of products in integers; making a token reads them at %.1f GB/s, "
      "%.0f%% of the %.1f GB/s that memory gives\n",
      Bytes(double(decoder.weight_bytes())).c_str(), 100 * decoder.integer_share(), read / 1e9,
      100 * read / bandwidth, bandwidth / 1e9);
  std::printf("load %s, keys and values %s, peak memory %s\n", Milliseconds(load * 1e9).c_str(),
              Bytes(double(decoder.cache_bytes())).c_str(), Bytes(PeakMemoryBytes()).c_str());
}

}  // namespace mezzo
