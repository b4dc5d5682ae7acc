// https://github.com/neuralmagic/compressed-tensors, format "pack-quantized": value = scale * (q -
// zero point) with q in -8..7, of which q + 8 is stored, eight to an int32, the first in the lowest
// bits: the bytes of Mezzo's own layout (quantized.h). Zero points are packed alike, eight rows to
// an int32.
#include <cmath>
#include <nlohmann/json.hpp>

#include "mezzo/base/error.h"
#include "mezzo/base/files.h"
#include "mezzo/format/half.h"
#include "mezzo/import/llm/adapters.h"
#include "mezzo/import/llm/export.h"
#include "mezzo/import/llm/parameters.h"
#include "mezzo/import/llm/shards.h"

namespace mezzo {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

void CheckExpressible(const LanguageModel& model) {
  const auto& q = model.config().quantization;
  const std::string path = model.path();
  Require(q.has_value(), path, ": has no codes; quantize it with --codes int4 first");
  Require(q->format.codes->name == "int4", path, ": compressed-tensors has no type for ",
          q->format.codes->name, " codes; quantize with --codes int4");
  Require(q->format.group % 32 == 0, path, ": groups of ", q->format.group,
          ", needs a multiple of 32");
  Require(q->activations == "float" || q->activation_group == 0, path,
          ": activations have a scale ", "for each ", q->activation_group,
          " channels, compressed-tensors one for a token; ", "quantize with --activation-group 0");
  Require(model.config().architecture != "gpt2", path, ": GPT-2's layers are Conv1D in ",
          "transformers, which compressed-tensors does not load; needs llama, mistral or qwen2");
}

Json QuantizationConfig(const LlmQuantization& q) {
  const Json weights{{"num_bits", 4},
                     {"type", "int"},
                     {"symmetric", !q.format.zero_points},
                     {"strategy", "group"},
                     {"group_size", q.format.group},
                     {"dynamic", false}};
  Json inputs;
  if (q.activations != "float")
    inputs = {{"num_bits", 8},     {"type", q.activations == "fp8" ? "float" : "int"},
              {"symmetric", true}, {"strategy", "token"},
              {"dynamic", true},   {"observer", nullptr}};
  // Readers would guess another format for a layer whose activations are FP8.
  const Json group{{"format", "pack-quantized"},
                   {"targets", Json::array({"Linear"})},
                   {"weights", weights},
                   {"input_activations", inputs},
                   {"output_activations", nullptr}};
  return {{"quant_method", "compressed-tensors"}, {"format", "pack-quantized"},
          {"quantization_status", "compressed"},  {"config_groups", {{"group_0", group}}},
          {"ignore", Json::array({"lm_head"})},   {"kv_cache_scheme", nullptr}};
}

Json Config(const LanguageModel& model) {
  Json config = model.HfConfig();
  if (!config.contains("architectures")) {
    const std::string& a = model.config().architecture;
    config["architectures"] = Json::array({a == "llama"     ? "LlamaForCausalLM"
                                           : a == "mistral" ? "MistralForCausalLM"
                                                            : "Qwen2ForCausalLM"});
  }
  config.erase("dtype");  // the newer name of the same field
  config["torch_dtype"] = "bfloat16";
  config["quantization_config"] = QuantizationConfig(*model.config().quantization);
  return config;
}

TensorBytes PackedZeros(const std::string& name, const GroupCodes& g) {
  std::vector<uint32_t> packed((g.rows + 7) / 8 * g.groups());
  for (int64_t r = 0; r < g.rows; ++r)
    for (int64_t i = 0; i < g.groups(); ++i)
      packed[r / 8 * g.groups() + i] |= uint32_t{g.zeros[r * g.groups() + i]} << 4 * (r % 8);
  return ToBytes(name + ".weight_zero_point", Storage::kI32, {(g.rows + 7) / 8, g.groups()},
                 packed);
}

std::vector<TensorBytes> Tensors(const std::string& module, GroupCodes g) {
  for (float& scale : g.scales) scale *= g.outer;
  // bfloat16 holds 8-bit scales exactly
  g.format.double_quant = false;
  std::vector<TensorBytes> own = Packed(module, g);  // codes, scales, and what is said otherwise
  own[0].spec.storage = Storage::kI32;
  own[0].spec.shape = {g.rows, g.cols / 8};
  own.resize(2);
  own.push_back(
      ToBytes(module + ".weight_shape", Storage::kI64, {2}, std::vector<int64_t>{g.rows, g.cols}));
  if (g.format.zero_points) own.push_back(PackedZeros(module, g));
  return own;
}

std::vector<TensorBytes> Tensors(const Parameter& p) {
  if (const auto* g = std::get_if<GroupCodes>(&p.value)) return Tensors(p.module(), *g);
  if (const auto* r = std::get_if<RowCodes>(&p.value)) return {ToBFloat16(p.name, r->Dequantize())};
  const auto& t = std::get<Tensor>(p.value);
  return {t.rank() == 1 ? ToBytes(p.name, t) : ToBFloat16(p.name, t)};
}

void WriteFolder(const LanguageModel& model, const fs::path& folder) {
  fs::create_directories(folder);
  const int64_t shards = model.config().layers + 2;
  int64_t at = 0;
  std::vector<TensorBytes> shard;
  const auto flush = [&] {
    WriteTensors(folder / ShardName(at++, shards), shard);
    shard.clear();
  };
  ForEachParameter(model, [&](int64_t piece, const Parameter& p) {
    if (piece > at) flush();
    for (TensorBytes& t : Tensors(p)) shard.push_back(std::move(t));
  });
  flush();
  WriteShardIndex(folder, shards);
  WriteFile(folder / "config.json", Config(model).dump(1) + "\n");
  model.CopyTokenizer(folder);
  if (!model.paths().empty()) WriteAdapters(folder, model.paths(), ".", model.gpt2());
}

}  // namespace

std::vector<std::string> ExportCompressedTensors(const LanguageModel& model, const fs::path& out) {
  CheckExpressible(model);
  const fs::path part = PartOf(out);
  for (const fs::path& path : {out, part})
    Require(!fs::exists(path), path.string(), ": exists already");
  try {
    WriteFolder(model, part);
    fs::rename(part, out);
  } catch (...) {
    std::error_code ignored;  // of clearing up: what went wrong before counts
    fs::remove_all(part, ignored);
    throw;
  }
  std::vector<std::string> notes;
  if (!model.paths().empty())
    notes.push_back("recovery paths are PEFT adapters beside the model: load them with it");
  if (model.config().quantization->format.fp8)
    notes.push_back("weights are scale * code, not rounded to FP8 unless the reader does that");
  if (!fs::exists(out / "tokenizer.json"))
    notes.push_back(Cat(model.path(), " has no tokenizer.json, which transformers needs"));
  return notes;
}

}  // namespace mezzo
