// What is exported reads back as the model that it came from.
#include "mezzo/import/llm/export.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "mezzo/checkpoint/gguf.h"
#include "mezzo/checkpoint/safetensors.h"
#include "mezzo/format/half.h"
#include "mezzo/import/llm/adapters.h"
#include "mezzo/import/llm/parameters.h"
#include "mezzo/import/llm/shards.h"
#include "mezzo/import/llm/tiny_model_test.h"

namespace mezzo {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// Codes, scales and zero points of a layer at random, as quantize would write them.
GroupCodes RandomCodes(const GroupFormat& format, const Shape& shape, unsigned seed, float outer,
                       float unit) {
  GroupCodes g{format, shape[0], shape[1], outer, unit};
  for (const float v : NormalValues(NumElements(shape), seed))
    g.codes.push_back(static_cast<uint8_t>(std::clamp(v * 4 + 8, 0.0f, 15.0f)));
  for (const float v : NormalValues(g.rows * g.groups(), seed + 1)) {
    const float scale = 0.01f + 0.001f * std::fabs(v);
    g.scales.push_back(format.double_quant
                           ? g.unit * UnsignedE3M5ToFloat(FloatToUnsignedE3M5(scale / g.unit))
                           : BFloat16ToFloat(FloatToBFloat16(scale)));
    if (format.zero_points) g.zeros.push_back(static_cast<uint8_t>(g.scales.size() * 5 % 16));
  }
  return g;
}

const char kTokenizer[] = R"({"version": "1.0", "added_tokens": [{"id": 0, "content": "<end>",
  "special": true, "normalized": false, "single_word": false, "lstrip": false, "rstrip": false}],
  "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
  "use_regex": true}, "decoder": {"type": "ByteLevel", "add_prefix_space": true,
  "trim_offsets": true, "use_regex": true},
  "model": {"type": "BPE", "vocab": {"<end>": 0, "a": 1, "1": 2, "11": 3, "b": 4, "ab": 5},
  "merges": ["1 1", "a b"]}})";

// A float model's folder turned into one that quantize could have written.
class Exports : public testing::Test {
 protected:
  fs::path Quantized(const LlmQuantization& q, const Json& config = Json::object()) {
    const fs::path from = folder_.path() / "float", to = folder_.path() / "mezzo";
    TinyModel::WriteLlama(from, config);
    std::vector<TensorBytes> tensors;
    ForEachParameter(LanguageModel::Open(from), [&](int64_t, const Parameter& p) {
      const auto& t = std::get<Tensor>(p.value);
      std::vector<TensorBytes> own{ToBytes(p.name, t)};
      if (t.rank() == 2 && p.name.find("proj") != p.name.npos)
        own = Packed(p.module(), RandomCodes(q.format, t.shape(), tensors.size(), outer_, unit_));
      else if (t.rank() == 2)
        own = Packed(p.module(), RoundRows(t));
      for (TensorBytes& b : own) tensors.push_back(std::move(b));
    });
    fs::create_directories(to);
    WriteTensors(to / "model.safetensors", tensors);
    auto json = Json::parse(ReadFile(from / "config.json"));
    json["quantization_config"] = Json::parse(ToJson(q).dump());
    json["eos_token_id"] = 0;
    WriteFile(to / "config.json", json.dump());
    WriteFile(to / "tokenizer.json", kTokenizer);
    return to;
  }
  std::string GgufRefusal(const LlmQuantization& q) {
    try {
      ExportGguf(LanguageModel::Open(Quantized(q)), out_);
    } catch (const UsageError& e) {
      EXPECT_FALSE(fs::exists(out_));
      return e.what();
    }
    return "nothing was refused";
  }
  std::string TensorsRefusal(const LlmQuantization& q) {
    try {
      ExportCompressedTensors(LanguageModel::Open(Quantized(q)), folder_.path() / "ct");
    } catch (const UsageError& e) {
      EXPECT_FALSE(fs::exists(folder_.path() / "ct"));
      return e.what();
    }
    return "nothing was refused";
  }

  float outer_ = 0.25f, unit_ = 0x1p-6f;
  const TemporaryFolder folder_;
  const fs::path out_ = folder_.path() / "m.gguf";
};

LlmQuantization Groups(const char* codes, int64_t group, bool zero_points = false) {
  return {{FindCodebook(codes), group, zero_points, {}}, "float", 0};
}

// Every parameter of two models by name, as float.
void ExpectSameWeights(const LanguageModel& want, const LanguageModel& got,
                       const std::function<float(const std::string&)>& tolerance) {
  std::map<std::string, Tensor> weights;
  const auto dequantized = [](const Parameter& p) {
    if (const auto* g = std::get_if<GroupCodes>(&p.value)) return g->Dequantize();
    if (const auto* r = std::get_if<RowCodes>(&p.value)) return r->Dequantize();
    return std::get<Tensor>(p.value);
  };
  ForEachParameter(want, [&](int64_t, const Parameter& p) { weights[p.name] = dequantized(p); });
  size_t seen = 0;
  ForEachParameter(got, [&](int64_t, const Parameter& p) {
    ASSERT_TRUE(weights.contains(p.name)) << p.name;
    const Tensor a = weights[p.name], b = dequantized(p);
    ASSERT_EQ(a.shape(), b.shape()) << p.name;
    for (int64_t i = 0; i < a.numel(); ++i)
      ASSERT_NEAR(a.data<float>()[i], b.data<float>()[i],
                  tolerance(p.name) * std::fabs(a.data<float>()[i]))
          << p.name << " " << i;
    ++seen;
  });
  EXPECT_EQ(seen, weights.size());
}

// Row scales of int8 tables are float32 and round to binary16.
float Exactly(const std::string& name) { return name.find("embed") != name.npos ? 0x1p-11f : 0; }

TEST_F(Exports, GgufHoldsTheSameWeights) {
  for (const LlmQuantization& q : {Groups("int4", 32), Groups("iq4nl", 32)}) {
    const LanguageModel model = LanguageModel::Open(Quantized(q));
    ExportGguf(model, out_);
    ExpectSameWeights(model, LanguageModel::Open(out_), Exactly);
    const Gguf file = ReadGguf(out_);
    EXPECT_EQ(file.At("blk.1.attn_k.weight").storage,
              q.format.codes->name == "int4" ? Storage::kQ4_0 : Storage::kIQ4NL);
    EXPECT_EQ(file.At("token_embd.weight").storage, Storage::kQ8_0);
    EXPECT_EQ(file.tensors.count("output.weight"), 0u);  // tied
  }
}

LlmQuantization DoubleQuantized() {
  LlmQuantization q = Groups("int4", 32);
  q.format.double_quant = true;
  return q;
}

// Exports that have no 8-bit scales hold what these stand for.
TEST_F(Exports, DoubleQuantizedScalesAreExpanded) {
  const LanguageModel model = LanguageModel::Open(Quantized(DoubleQuantized()));
  const std::string scale = "model.layers.0.mlp.up_proj.weight_scale";
  EXPECT_EQ(model.checkpoint().At(scale).storage, Storage::kU8);
  ExportGguf(model, out_);
  ExpectSameWeights(model, LanguageModel::Open(out_), Exactly);
  const fs::path folder = folder_.path() / "ct";
  ExportCompressedTensors(model, folder);
  const Safetensors file = ReadSafetensors(folder);
  EXPECT_EQ(file.At(scale).storage, Storage::kBF16);
  EXPECT_FALSE(file.tensors.contains(scale + "_unit"));
  const Tensor want = model.checkpoint().At(scale).Read(), got = file.At(scale).Read();
  for (int64_t i = 0; i < want.numel(); ++i)
    ASSERT_EQ(got.data<float>()[i],
              outer_ * unit_ * UnsignedE3M5ToFloat(static_cast<uint8_t>(want.data<float>()[i])));
}

TEST_F(Exports, AUnitThatIsNoPowerOfTwoIsRefused) {
  unit_ = 0.3f;
  EXPECT_THROW(LanguageModel::Open(Quantized(DoubleQuantized())).Block(0), FileError);
}

TEST_F(Exports, GgufTurnsRowsAndBiasesWhereLlamaCppDoes) {
  for (const char* type : {"llama", "mistral", "qwen2"}) {
    const LanguageModel model = LanguageModel::Open(
        Quantized(Groups("int4", 32), {{"model_type", type}, {"attention_bias", true}}));
    ExportGguf(model, out_);
    const LanguageModel got = LanguageModel::Open(out_);
    EXPECT_EQ(got.config().architecture, *type == 'q' ? "qwen2" : "llama");
    ExpectSameWeights(model, got, Exactly);
  }
}

TEST_F(Exports, GgufSaysHowRotaryPairsAreScaled) {
  const Json llama3{{"rope_type", "llama3"},
                    {"factor", 8},
                    {"low_freq_factor", 1},
                    {"high_freq_factor", 4},
                    {"original_max_position_embeddings", 100}};
  const Json linear{{"rope_type", "linear"}, {"factor", 4}};
  for (const Json& scaling : {llama3, linear}) {
    const LanguageModel model =
        LanguageModel::Open(Quantized(Groups("int4", 32), {{"rope_scaling", scaling}}));
    ExportGguf(model, out_);
    const auto got = LanguageModel::Open(out_).config().rotary, want = model.config().rotary;
    for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-7 * want[i]);
  }
  // Factors of each pair are read for llama alone.
  const LanguageModel qwen = LanguageModel::Open(
      Quantized(Groups("int4", 32), {{"model_type", "qwen2"}, {"rope_scaling", llama3}}));
  EXPECT_THROW(ExportGguf(qwen, out_), UsageError);
}

TEST_F(Exports, GgufRoundsOffsetsOfZeroPointsOnly) {
  const LanguageModel model = LanguageModel::Open(Quantized(Groups("int4", 32, true)));
  const auto notes = ExportGguf(model, out_);
  const LanguageModel got = LanguageModel::Open(out_);
  // scale * (code - zero): up to 15 * scale is rounded to binary16's 11 bits.
  const Tensor a = model.Block(0).initializers.at("model.layers.0.mlp.up_proj.weight"),
               b = got.Block(0).initializers.at("model.layers.0.mlp.up_proj.weight");
  for (int64_t i = 0; i < a.numel(); ++i)
    ASSERT_NEAR(a.data<float>()[i], b.data<float>()[i], 15 * 0.25f * 0.015f * 0x1p-11f);
  ASSERT_FALSE(notes.empty());
  EXPECT_NE(notes[0].find("offsets are no binary16"), std::string::npos) << notes[0];
}

TEST_F(Exports, GgufHasTheTokenizer) {
  ExportGguf(LanguageModel::Open(Quantized(Groups("int4", 32))), out_);
  const Gguf file = ReadGguf(out_);
  EXPECT_EQ(file.Get<std::string>("tokenizer.ggml.model"), "gpt2");
  EXPECT_EQ(file.Get<std::string>("tokenizer.ggml.pre"), "gpt-2");
  EXPECT_EQ(file.Get<std::vector<std::string>>("tokenizer.ggml.merges")[1], "a b");
  const auto& tokens = file.Get<std::vector<std::string>>("tokenizer.ggml.tokens");
  ASSERT_EQ(tokens.size(), 96u);
  EXPECT_EQ(tokens[5], "ab");
  EXPECT_EQ(tokens[6], "[PAD6]");
  const auto& types = file.Get<std::vector<int32_t>>("tokenizer.ggml.token_type");
  EXPECT_EQ(types[0], 3);
  EXPECT_EQ(types[5], 1);
  EXPECT_EQ(types[6], 5);
  EXPECT_EQ(file.Int("tokenizer.ggml.eos_token_id"), 0);
}

TEST_F(Exports, GgufOfAFloatModel) {
  const fs::path path = folder_.path() / "gpt2";
  TinyModel::WriteGpt2(path);
  WriteFile(path / "tokenizer.json", kTokenizer);
  const LanguageModel model = LanguageModel::Open(path);
  EXPECT_TRUE(ExportGguf(model, out_).empty());
  ExpectSameWeights(model, LanguageModel::Open(out_), [](const std::string&) { return 0.0f; });
}

TEST_F(Exports, GgufRefusesByName) {
  EXPECT_NE(GgufRefusal(Groups("nf4", 32)).find("--codes int4 or iq4nl"), std::string::npos);
  EXPECT_NE(GgufRefusal(Groups("int4", 16)).find("groups of 16"), std::string::npos);
  outer_ = 0x1p30f;
  try {
    ExportGguf(LanguageModel::Open(Quantized(Groups("int4", 32))), out_);
    ADD_FAILURE() << "nothing was refused";
  } catch (const FileError& e) {
    EXPECT_NE(std::string(e.what()).find("_proj.weight': scale "), std::string::npos) << e.what();
    EXPECT_FALSE(fs::exists(out_));
  }
}

TEST_F(Exports, GgufSaysWhatItRounds) {
  outer_ = 0x1p-14f;  // scales below 2^-17 have fewer bits in binary16 than in bfloat16
  const auto notes = ExportGguf(LanguageModel::Open(Quantized(Groups("int4", 32))), out_);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find(" scales are no binary16"), std::string::npos) << notes[0];
}

// The packing of the compressed-tensors package, by its formula.
int Unpacked(const StoredTensor& t, int64_t word, int i) {
  uint32_t bits;
  std::memcpy(&bits, t.bytes.data() + 4 * word, 4);
  return static_cast<int>(bits >> 4 * i & 15) - 8;
}

TEST_F(Exports, CompressedTensorsHoldsTheSameWeights) {
  for (const bool zero_points : {false, true}) {
    const LanguageModel model = LanguageModel::Open(Quantized(Groups("int4", 32, zero_points)));
    const fs::path out = folder_.path() / Cat("ct", zero_points);
    EXPECT_TRUE(ExportCompressedTensors(model, out).empty());
    const Safetensors file = ReadSafetensors(out);
    const std::string name = "model.layers.1.mlp.down_proj";
    const StoredTensor &packed = file.At(name + ".weight_packed"),
                       &scale = file.At(name + ".weight_scale");
    EXPECT_EQ(packed.storage, Storage::kI32);
    EXPECT_EQ(packed.shape, (Shape{32, 8}));
    EXPECT_EQ(scale.storage, Storage::kBF16);
    const Tensor scales = scale.Read(), shape = file.At(name + ".weight_shape").Read();
    EXPECT_EQ(shape.data<float>()[1], 64);
    const Tensor want = model.Block(1).initializers.at(name + ".weight");
    for (int64_t r = 0; r < 32; ++r)
      for (int64_t c = 0; c < 64; ++c) {
        const int zero = zero_points ? Unpacked(file.At(name + ".weight_zero_point"),
                                                r / 8 * 2 + c / 32, int(r % 8))
                                     : 0;
        const int q = Unpacked(packed, r * 8 + c / 8, static_cast<int>(c % 8));
        ASSERT_EQ(want.data<float>()[r * 64 + c],
                  scales.data<float>()[r * 2 + c / 32] * static_cast<float>(q - zero));
      }
    EXPECT_EQ(file.At("model.embed_tokens.weight").storage, Storage::kBF16);
    EXPECT_FALSE(file.tensors.contains("lm_head.weight"));  // tied
    EXPECT_TRUE(fs::exists(out / "tokenizer.json"));
  }
}

TEST_F(Exports, CompressedTensorsSaysTheScheme) {
  LlmQuantization q = Groups("int4", 32);
  q.activations = "fp8";
  q.format.fp8 = kE4M3FN;
  const fs::path out = folder_.path() / "ct/";  // as shells complete it
  const auto notes = ExportCompressedTensors(LanguageModel::Open(Quantized(q)), out);
  EXPECT_EQ(notes.size(), 1u);
  const Json config = Json::parse(ReadFile(out / "config.json"));
  const Json& said = config.at("quantization_config");
  EXPECT_EQ(config.at("architectures"), Json::array({"LlamaForCausalLM"}));
  EXPECT_EQ(said.at("quant_method"), "compressed-tensors");
  EXPECT_EQ(said.at("ignore"), Json::array({"lm_head"}));
  const Json& group = said.at("config_groups").at("group_0");
  EXPECT_EQ(group.at("format"), "pack-quantized");
  EXPECT_EQ(group.at("targets"), Json::array({"Linear"}));
  EXPECT_EQ(group.at("weights").at("group_size"), 32);
  EXPECT_EQ(group.at("input_activations").at("type"), "float");
  EXPECT_EQ(group.at("input_activations").at("strategy"), "token");
}

TEST_F(Exports, RecoveryPathsGoAlongOrAreRefused) {
  const fs::path folder = Quantized(Groups("int4", 32));
  const std::string layer = "model.layers.1.mlp.up_proj";
  WriteAdapters(folder, {{layer, {NormalTensor({3, 32}, 1), NormalTensor({64, 3}, 2)}}}, "base",
                false);
  const LanguageModel model = LanguageModel::Open(folder);
  EXPECT_THROW(ExportGguf(model, out_), UsageError);
  EXPECT_FALSE(fs::exists(out_));
  const fs::path out = folder_.path() / "ct";
  EXPECT_EQ(ExportCompressedTensors(model, out).size(), 1u);
  const LowRanks written = ReadAdapters(out);
  ASSERT_EQ(written.size(), 1u);
  const LowRank &want = model.paths().at(layer), &got = written.at(layer);
  for (int64_t i = 0; i < want.a.numel(); ++i)
    EXPECT_EQ(got.a.data<float>()[i], want.a.data<float>()[i]);
}

TEST_F(Exports, CompressedTensorsRefusesByName) {
  EXPECT_NE(TensorsRefusal(Groups("nf4", 32)).find("nf4"), std::string::npos);
  EXPECT_NE(TensorsRefusal(Groups("iq4nl", 32)).find("--codes int4"), std::string::npos);
  EXPECT_NE(TensorsRefusal(Groups("int4", 16)).find("groups of 16"), std::string::npos);
  LlmQuantization q = Groups("int4", 32);
  q.activations = "int8";
  q.activation_group = 32;
  EXPECT_NE(TensorsRefusal(q).find("--activation-group 0"), std::string::npos);
}

}  // namespace
}  // namespace mezzo
