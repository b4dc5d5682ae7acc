#include "mezzo/import/llm/gguf_metadata.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "mezzo/base/error.h"
#include "mezzo/import/tokenizer/token_table.h"

namespace mezzo {
namespace {

std::vector<double> Slower(const LlmConfig& c) {
  if (c.rotary.empty()) return {};
  std::vector<double> factors = PlainRotary(c.head_size, c.rope_theta);
  for (size_t i = 0; i < factors.size(); ++i) factors[i] /= c.rotary[i];
  return factors;
}

bool AllAlike(const std::vector<double>& v) {
  const auto [low, high] = std::minmax_element(v.begin(), v.end());
  return v.empty() || *high - *low <= 1e-12 * *high;
}

// llama.cpp's number for what most of the weights are in.
uint32_t FileType(const LlmConfig& c) {
  if (!c.quantization) return 0;  // ALL_F32
  switch (BlockStorage(c.quantization->format)) {
    case Storage::kQ4_0:
      return 2;
    case Storage::kQ4_1:
      return 3;
    default:
      return 25;  // IQ4_NL
  }
}

class Fields {
 public:
  explicit Fields(std::string architecture) : architecture_(std::move(architecture)) {}
  void Size(const char* key, int64_t v) { Own(key, static_cast<uint32_t>(v)); }
  void Real(const char* key, double v) { Own(key, static_cast<float>(v)); }
  void Own(const char* key, GgufValue v) { Any(Cat(architecture_, ".", key), std::move(v)); }
  void Any(std::string key, GgufValue v) { fields.push_back({std::move(key), std::move(v)}); }
  bool Has(const std::string& key) const { return Find(fields, key) != nullptr; }

  GgufMetadata fields;

 private:
  std::string architecture_;
};

void AddRotary(const LanguageModel& model, Fields& f) {
  const LlmConfig& c = model.config();
  f.Real("attention.layer_norm_rms_epsilon", c.norm_epsilon);
  f.Size("attention.key_length", c.head_size);
  f.Size("attention.value_length", c.head_size);
  f.Size("rope.dimension_count", c.head_size);
  f.Real("rope.freq_base", c.rope_theta);
  const std::vector<double> slower = Slower(c);
  if (AllAlike(slower)) {
    if (slower.empty() || std::fabs(slower[0] - 1) < 1e-12) return;
    f.Own("rope.scaling.type", std::string("linear"));
    f.Real("rope.scaling.factor", slower[0]);
  } else {
    Require(GgufArchitecture(c) == "llama", model.path(),
            ": its rotary embedding's scaling cannot ", "be said in a GGUF file of ",
            c.architecture);
  }
}

// Where the tokenizer's files do not name what begins and ends a text, config.json may.
void AddEnds(const LanguageModel& model, Fields& f) {
  for (const char* name : {"bos_token_id", "eos_token_id"}) {
    const std::string key = Cat("tokenizer.ggml.", name);
    if (f.Has(key)) continue;
    const auto config = model.HfConfig();
    if (!config.contains(name)) continue;
    const auto& id =
        config[name].is_array() && !config[name].empty() ? config[name][0] : config[name];
    if (id.is_number_unsigned()) f.Any(key, id.get<uint32_t>());
  }
}

}  // namespace

std::string GgufArchitecture(const LlmConfig& c) {
  return c.architecture == "mistral" ? "llama" : c.architecture;
}

Storage BlockStorage(const GroupFormat& format) {
  if (format.zero_points) return Storage::kQ4_1;
  return format.codes->name == "iq4nl" ? Storage::kIQ4NL : Storage::kQ4_0;
}

Tensor RotaryFactors(const LlmConfig& c) {
  const std::vector<double> slower = Slower(c);
  if (AllAlike(slower)) return {};
  return Tensor::Vector(std::vector<float>(slower.begin(), slower.end()));
}

GgufMetadata GgufMetadataOf(const LanguageModel& model, const std::string& name) {
  const LlmConfig& c = model.config();
  Fields f(GgufArchitecture(c));
  f.Any("general.architecture", GgufArchitecture(c));
  f.Any("general.type", std::string("model"));
  f.Any("general.name", name);
  f.Any("general.file_type", FileType(c));
  if (c.quantization) f.Any("general.quantization_version", uint32_t{2});
  f.Size("vocab_size", c.vocabulary);
  f.Size("context_length", c.context);
  f.Size("embedding_length", c.hidden);
  f.Size("feed_forward_length", c.feed_forward);
  f.Size("block_count", c.layers);
  f.Size("attention.head_count", c.heads);
  f.Size("attention.head_count_kv", c.kv_heads);
  if (c.architecture == "gpt2")
    f.Real("attention.layer_norm_epsilon", c.norm_epsilon);
  else
    AddRotary(model, f);
  for (auto& field : TokenizerMetadata(LanguageModel::TokenizerPath(model.path()),
                                       static_cast<size_t>(c.vocabulary)))
    f.fields.push_back(std::move(field));
  AddEnds(model, f);
  return std::move(f.fields);
}

}  // namespace mezzo
