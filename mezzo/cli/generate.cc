// mezzo generate: what a language model goes on with.
#include <cstdio>
#include <set>

#include "mezzo/cli/commands.h"
#include "mezzo/cli/evaluate_text.h"
#include "mezzo/cli/options.h"
#include "mezzo/import/tokenizer/chat.h"
#include "mezzo/import/tokenizer/token_stream.h"
#include "mezzo/report/measure.h"
#include "mezzo/runtime/decoder/decoder.h"
#include "mezzo/runtime/decoder/sampler.h"

namespace mezzo {
namespace {

struct Options {
  std::string model, prompt, system, chat = "auto", kv = "auto";
  int64_t tokens = 128, context = 0;
  SamplerOptions sampler;
  ThreadOptions threads;
  bool raw = false, quiet = false;
};

// The text as the model was taught to read it.
std::string Prompt(const Options& o, const Tokenizer& tokenizer) {
  if (o.raw) {
    Require(o.system.empty(), "--system means nothing with --raw");
    return o.prompt;
  }
  const ChatFormat format =
      o.chat == "auto" ? RecognizeChat(tokenizer.chat_template()) : ChatFormatOf(o.chat);
  std::vector<ChatMessage> messages;
  if (!o.system.empty()) messages.push_back({"system", o.system});
  messages.push_back({"user", o.prompt});
  return ChatPrompt(format, messages);
}

// Ends an answer.
std::set<int32_t> Ends(const Tokenizer& tokenizer) {
  std::set<int32_t> ends;
  if (tokenizer.eos()) ends.insert(*tokenizer.eos());
  for (const char* token : {"<|im_end|>", "<|eot_id|>", "<|endoftext|>"})
    if (const auto id = tokenizer.Find(token)) ends.insert(*id);
  return ends;
}

void Print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void Run(const Options& o) {
  const LanguageModel model = LanguageModel::Open(o.model);
  const Tokenizer tokenizer = TokenizerOf(o.model);
  const std::vector<int32_t> prompt = tokenizer.Encode(Prompt(o, tokenizer), true);
  Require(!prompt.empty(), "an empty prompt, and this model has no token that begins a text");
  const int64_t needed = static_cast<int64_t>(prompt.size()) + o.tokens;
  const int64_t context = o.context > 0 ? o.context : std::min(needed, model.positions());
  Require(static_cast<int64_t>(prompt.size()) < context, "the prompt has ", prompt.size(),
          " tokens, and the context ", context);
  Sampler sampler(o.sampler);
  Decoder decoder(model, {context, KvFormatFor(model, o.kv), Threads(o.threads.threads)});
  TokenStream stream(tokenizer);
  const std::set<int32_t> ends = Ends(tokenizer);
  const Stopwatch reading;
  Tensor hidden = decoder.Read(prompt);
  const double read = reading.Seconds();
  const Stopwatch making;
  int64_t made = 0;
  for (;;) {
    const int32_t next = sampler.Next(LastLogits(decoder, hidden));
    if (ends.contains(next)) break;
    // Vocabularies are padded: an id without a token is nothing.
    if (next < tokenizer.vocabulary_size()) Print(stream.Push(next));
    if (++made == o.tokens || decoder.position() == context) break;
    hidden = decoder.Read({&next, 1});
  }
  Print(stream.Finish() + "\n");
  if (!o.quiet)
    std::fprintf(stderr, "%zu tokens read, %.1f a second; %lld made, %.1f a second\n",
                 prompt.size(), static_cast<double>(prompt.size()) / read,
                 static_cast<long long>(made), static_cast<double>(made) / making.Seconds());
}

}  // namespace

void AddGenerate(CLI::App& app) {
  CLI::App* cmd = app.add_subcommand("generate", "Text from a language model");
  auto o = std::make_shared<Options>();
  cmd->add_option("model", o->model, "Hugging Face folder, .gguf, llama2.c .bin")->required();
  cmd->add_option("prompt", o->prompt)->required();
  cmd->add_option("--tokens", o->tokens, "At most so many")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  cmd->add_flag("--raw", o->raw, "Go on with the prompt itself, not as an answer in a chat");
  cmd->add_option("--chat", o->chat,
                  "auto (the model's own template), none, chatml, llama-2 or llama-3")
      ->capture_default_str();
  cmd->add_option("--system", o->system, "A system message before the prompt");
  cmd->add_option("--temperature", o->sampler.temperature, "0: always the likeliest token")
      ->capture_default_str();
  cmd->add_option("--top-k", o->sampler.top_k, "Of the likeliest tokens (0: all)")
      ->capture_default_str();
  cmd->add_option("--top-p", o->sampler.top_p, "Of the likeliest, that sum to this probability")
      ->capture_default_str();
  cmd->add_option("--seed", o->sampler.seed)->capture_default_str();
  cmd->add_option("--context", o->context, "Positions to have room for (default: as needed)")
      ->check(CLI::NonNegativeNumber);
  AddKvOption(*cmd, o->kv);
  o->threads.Add(*cmd);
  cmd->add_flag("--quiet", o->quiet, "Nothing on standard error");
  cmd->callback([o] { Run(*o); });
}

}  // namespace mezzo
