#include "mezzo/import/llm/config.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "mezzo/base/error.h"

namespace mezzo {
namespace {

using Json = nlohmann::ordered_json;

void Check(const LlmConfig& c, const std::string& where) {
  const auto positive = [&](const char* name, int64_t v) {
    RequireFile(v > 0 && v < (int64_t{1} << 31), where, ": ", name, " is ", v,
                ", needs a positive number below 2^31");
  };
  positive("the number of layers", c.layers);
  positive("the hidden size", c.hidden);
  positive("the feed-forward size", c.feed_forward);
  positive("the vocabulary", c.vocabulary);
  positive("the number of heads", c.heads);
  positive("the number of key/value heads", c.kv_heads);
  positive("the head size", c.head_size);
  positive("the context", c.context);
  RequireFile(c.heads % c.kv_heads == 0, where, ": ", c.heads, " heads for ", c.kv_heads,
              " key/value heads, needs a multiple");
  RequireFile(c.rotary.empty() || c.head_size % 2 == 0, where, ": heads of ", c.head_size,
              " channels, needs an even number");
  RequireFile(c.norm_epsilon > 0 && c.norm_epsilon < 1, where, ": the norms' epsilon is ",
              c.norm_epsilon);
}

// Fields of config.json.
class Fields {
 public:
  Fields(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
    RequireFile(json.is_object(), where_, ": expected an object");
  }
  bool Has(const char* key) const { return json_.contains(key) && !json_.at(key).is_null(); }
  const Json& At(const char* key) const { return json_.at(key); }
  int64_t Int(const char* key) const {
    RequireFile(Has(key) && At(key).is_number_integer(), where_, ": field '", key,
                "' needs an integer", Got(key));
    return At(key).get<int64_t>();
  }
  int64_t Int(const char* key, int64_t fallback) const { return Has(key) ? Int(key) : fallback; }
  double Real(const char* key) const {
    RequireFile(Has(key) && At(key).is_number(), where_, ": field '", key, "' needs a number",
                Got(key));
    return At(key).get<double>();
  }
  double Real(const char* key, double fallback) const { return Has(key) ? Real(key) : fallback; }
  bool Bool(const char* key, bool fallback) const {
    if (!Has(key)) return fallback;
    RequireFile(At(key).is_boolean(), where_, ": field '", key, "' needs true or false", Got(key));
    return At(key).get<bool>();
  }
  std::string Text(const char* key, const std::string& fallback) const {
    if (!Has(key)) return fallback;
    RequireFile(At(key).is_string(), where_, ": field '", key, "' needs a string", Got(key));
    return At(key).get<std::string>();
  }
  const std::string& where() const { return where_; }

 private:
  std::string Got(const char* key) const {
    return json_.contains(key) ? Cat(", got ", At(key).dump().substr(0, 100))
                               : ", which is missing";
  }
  const Json& json_;
  std::string where_;
};

// Positions stretched, evenly or more for the slow pairs. transformers 5 writes what were
// rope_theta and rope_scaling as one object, rope_parameters.
// https://huggingface.co/docs/transformers/internal/rope_utils
void ReadRotary(const Fields& f, LlmConfig& c) {
  c.rope_theta = f.Real("rope_theta", 10000);
  const char* field = f.Has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  const bool has = f.Has(field);
  static const Json none = Json::object();
  const Fields s(has ? f.At(field) : none, f.where() + "." + field);
  c.rope_theta = s.Real("rope_theta", c.rope_theta);
  RequireFile(s.Real("partial_rotary_factor", 1) == 1, s.where(),
              ".partial_rotary_factor is not supported");
  c.rotary = PlainRotary(c.head_size, c.rope_theta);
  const std::string type = s.Text("rope_type", s.Text("type", "default"));
  if (type == "default") return;
  RequireFile(type == "linear" || type == "llama3", s.where(), ": type '", type,
              "' is not supported, needs linear or llama3");
  const double factor = s.Real("factor");
  RequireFile(factor >= 1, s.where(), ".factor: got ", factor, ", needs at least 1");
  if (type == "linear") {
    for (double& turn : c.rotary) turn /= factor;
    return;
  }
  const double low = s.Real("low_freq_factor"), high = s.Real("high_freq_factor");
  const double context = s.Real("original_max_position_embeddings");
  RequireFile(low > 0 && high > low && context > 0, s.where(), ": needs 0 < low_freq_factor < ",
              "high_freq_factor and a positive context");
  for (double& turn : c.rotary) {
    const double turns = context * turn / (2 * M_PI);  // over the original context
    const double fast = std::clamp((turns - low) / (high - low), 0.0, 1.0);
    turn = (1 - fast) * turn / factor + fast * turn;
  }
}

LlmConfig Gpt2(const Fields& f) {
  LlmConfig c;
  c.architecture = "gpt2";
  c.layers = f.Int("n_layer");
  c.hidden = f.Int("n_embd");
  c.heads = c.kv_heads = f.Int("n_head");
  c.vocabulary = f.Int("vocab_size");
  c.context = f.Int("n_positions", f.Int("n_ctx", 0));
  c.feed_forward = f.Int("n_inner", 4 * c.hidden);
  c.norm_epsilon = static_cast<float>(f.Real("layer_norm_epsilon", 1e-5));
  c.tied = f.Bool("tie_word_embeddings", true);
  const std::string act = f.Text("activation_function", "gelu_new");
  RequireFile(act == "gelu_new", f.where(), ".activation_function: got '", act,
              "', needs gelu_new");
  RequireFile(!f.Bool("scale_attn_by_inverse_layer_idx", false), f.where(),
              ": scale_attn_by_inverse_layer_idx is not supported");
  RequireFile(c.heads > 0 && c.hidden % c.heads == 0, f.where(), ": ", c.hidden, " channels for ",
              c.heads, " heads, needs a multiple");
  c.head_size = c.hidden / c.heads;
  return c;
}

LlmConfig Llama(const Fields& f, const std::string& type) {
  LlmConfig c;
  c.architecture = type;
  c.layers = f.Int("num_hidden_layers");
  c.hidden = f.Int("hidden_size");
  c.feed_forward = f.Int("intermediate_size");
  c.vocabulary = f.Int("vocab_size");
  c.heads = f.Int("num_attention_heads");
  c.kv_heads = f.Int("num_key_value_heads", c.heads);
  RequireFile(c.heads > 0 && c.kv_heads > 0, f.where(), ": needs heads");
  c.head_size = f.Int("head_dim", c.hidden / c.heads);
  c.context = f.Int("max_position_embeddings");
  c.norm_epsilon = static_cast<float>(f.Real("rms_norm_eps"));
  c.tied = f.Bool("tie_word_embeddings", false);
  const std::string act = f.Text("hidden_act", "silu");
  RequireFile(act == "silu", f.where(), ".hidden_act: got '", act, "', needs silu");
  const bool slides = f.Has("sliding_window") && f.Bool("use_sliding_window", type == "mistral") &&
                      f.Int("sliding_window") < c.context;
  RequireFile(!slides, f.where(), ": sliding windows are not supported");
  RequireFile(c.head_size > 0 && c.head_size <= 1 << 16, f.where(), ": heads of ", c.head_size,
              " channels");
  ReadRotary(f, c);
  return c;
}

}  // namespace

std::vector<double> PlainRotary(int64_t head_size, double theta) {
  std::vector<double> turn;
  for (int64_t i = 0; i < head_size; i += 2)
    turn.push_back(std::pow(theta, -static_cast<double>(i) / static_cast<double>(head_size)));
  return turn;
}

LlmConfig ParseHfConfig(const std::string& text, const std::string& where) {
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Json::exception& e) {
    throw FileError(Cat(where, ": ", e.what()));
  }
  const Fields f(json, where);
  const std::string type = f.Text("model_type", "");
  RequireFile(type == "llama" || type == "mistral" || type == "qwen2" || type == "gpt2", f.where(),
              ": model_type is '", type, "', needs llama, mistral, qwen2 or gpt2");
  LlmConfig c = type == "gpt2" ? Gpt2(f) : Llama(f, type);
  if (f.Has("quantization_config"))
    c.quantization =
        QuantizationFromJson(f.At("quantization_config"), f.where() + ".quantization_config");
  Check(c, f.where());
  return c;
}

LlmConfig ConfigOf(const Gguf& file) {
  LlmConfig c;
  c.architecture = file.Get<std::string>("general.architecture");
  RequireFile(c.architecture == "llama" || c.architecture == "qwen2" || c.architecture == "gpt2",
              file.path, ": general.architecture is '", Quoted(c.architecture),
              "', needs llama, qwen2 or gpt2");
  const auto key = [&](const char* name) { return c.architecture + "." + name; };
  const auto real = [&](const std::string& name, float fallback) {
    return Find(file.metadata, name) ? file.Get<float>(name) : fallback;
  };
  c.layers = file.Int(key("block_count"));
  c.hidden = file.Int(key("embedding_length"));
  c.feed_forward = file.Int(key("feed_forward_length"));
  c.heads = c.kv_heads = file.Int(key("attention.head_count"));
  if (Find(file.metadata, key("attention.head_count_kv")))
    c.kv_heads = file.Int(key("attention.head_count_kv"));
  RequireFile(c.heads > 0 && c.hidden > 0, file.path, ": needs heads and channels");
  c.head_size = c.hidden / c.heads;
  if (Find(file.metadata, key("attention.key_length")))
    c.head_size = file.Int(key("attention.key_length"));
  c.context = file.Int(key("context_length"));
  const StoredTensor& embedding = file.At("token_embd.weight");
  RequireFile(embedding.shape.size() == 2, embedding.where, ": shape ", ToString(embedding.shape),
              ", needs (vocabulary, hidden)");
  c.vocabulary = embedding.shape[0];
  c.tied = !file.tensors.contains("output.weight");
  if (c.architecture == "gpt2") {
    c.norm_epsilon = file.Get<float>(key("attention.layer_norm_epsilon"));
  } else {
    c.norm_epsilon = file.Get<float>(key("attention.layer_norm_rms_epsilon"));
    RequireFile(c.head_size > 0 && c.head_size <= 1 << 16, file.path, ": heads of ", c.head_size,
                " channels");
    c.rope_theta = real(key("rope.freq_base"), 10000);
    c.rotary = PlainRotary(c.head_size, c.rope_theta);
    const std::vector<double> plain = c.rotary;
    c.interleaved = c.architecture == "llama";
    if (const GgufValue* type = Find(file.metadata, key("rope.scaling.type"))) {
      const auto* text = std::get_if<std::string>(type);
      RequireFile(text && (*text == "linear" || *text == "none"), file.path, ": ",
                  key("rope.scaling.type"), " is not supported, needs linear or none");
      if (*text == "linear")
        for (double& turn : c.rotary) turn /= real(key("rope.scaling.factor"), 1);
    }
    if (file.tensors.contains("rope_freqs.weight")) {
      const Tensor slower = file.At("rope_freqs.weight").Read();
      RequireFile(slower.numel() == static_cast<int64_t>(c.rotary.size()), file.path,
                  ": tensor 'rope_freqs.weight' has ", slower.numel(), " values, needs ",
                  c.rotary.size());
      for (size_t i = 0; i < c.rotary.size(); ++i) c.rotary[i] /= slower.data<float>()[i];
    }
    c.plain_rotary = c.rotary == plain;
  }
  Check(c, file.path);
  return c;
}

LlmConfig ConfigOf(const Llama2c& file) {
  LlmConfig c;
  c.architecture = "llama";
  c.layers = file.layers;
  c.hidden = file.dim;
  c.feed_forward = file.hidden_dim;
  c.heads = file.heads;
  c.kv_heads = file.kv_heads;
  c.head_size = file.dim / file.heads;
  c.vocabulary = file.vocab;
  c.context = file.seq_len;
  c.norm_epsilon = 1e-5f;  // run.c's
  c.tied = file.shared_classifier;
  c.rope_theta = 10000;
  c.rotary = PlainRotary(c.head_size, c.rope_theta);
  c.interleaved = true;
  Check(c, file.path);
  return c;
}

}  // namespace mezzo
