#include "mezzo/import/llm/adapters.h"

#include <nlohmann/json.hpp>

#include "mezzo/base/files.h"
#include "mezzo/checkpoint/safetensors.h"
#include "mezzo/format/half.h"
#include "mezzo/import/llm/shards.h"

namespace mezzo {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kRoot = "base_model.model.";
constexpr const char *kA = ".lora_A.weight", *kB = ".lora_B.weight";

TensorBytes ToBFloat16(const std::string& name, const Tensor& t) {
  std::vector<uint16_t> codes;
  for (const float v : t.span<float>()) codes.push_back(FloatToBFloat16(v));
  return ToBytes(name, Storage::kBF16, t.shape(), codes);
}

double Number(const Json& config, const char* field, const std::string& where) {
  RequireFile(config.contains(field) && config[field].is_number(), where, ": has no number ",
              field);
  return config[field];
}

// lora_alpha / r of a layer.
float Scale(const Json& config, const std::string& layer, int64_t rank, const std::string& where) {
  double alpha = Number(config, "lora_alpha", where);
  const auto pattern = config.find("alpha_pattern");
  if (pattern != config.end() && pattern->is_object() && pattern->contains(layer))
    alpha = Number(*pattern, layer.c_str(), where);
  return static_cast<float>(alpha / static_cast<double>(rank));
}

void CheckKind(const Json& config, const std::string& where) {
  RequireFile(config.is_object() && config.value("peft_type", "") == "LORA", where,
              ": needs \"peft_type\": \"LORA\"");
  for (const char* flag : {"use_dora", "use_rslora"}) {
    const auto it = config.find(flag);
    RequireFile(it == config.end() || *it == false, where, ": ", flag, " is not known here");
  }
}

}  // namespace

bool HoldsAdapters(const fs::path& folder) { return fs::exists(folder / "adapter_config.json"); }

LowRanks ReadAdapters(const fs::path& folder) {
  const std::string where = (folder / "adapter_config.json").string();
  const Json config = Json::parse(ReadFile(where, uint64_t{1} << 24), nullptr, false);
  CheckKind(config, where);
  const Safetensors file = ReadSafetensors(folder / "adapter_model.safetensors");
  LowRanks paths;
  for (const auto& [name, stored] : file.tensors) {
    const std::string_view end = std::string_view(name).substr(
        std::max(name.size(), std::string_view(kA).size()) - std::string_view(kA).size());
    RequireFile(name.starts_with(kRoot) && (end == kA || end == kB) && stored.shape.size() == 2,
                stored.where, ": needs matrices ", kRoot, "LAYER", kA, " and ", kB);
    const size_t root = std::string_view(kRoot).size();
    LowRank& path = paths[name.substr(root, name.size() - root - end.size())];
    (end == kA ? path.a : path.b) = stored.Read();
  }
  for (auto& [layer, path] : paths) {
    RequireFile(path.a.defined() && path.b.defined(), where, ": ", layer, " lacks one matrix");
    RequireFile(path.a.dim(0) == path.b.dim(1) && path.a.dim(0) > 0, where, ": ", layer, " has A ",
                ToString(path.a.shape()), " and B ", ToString(path.b.shape()));
    const float scale = Scale(config, layer, path.rank(), where);
    for (float& v : path.b.span<float>()) v *= scale;
  }
  return paths;
}

void WriteAdapters(const fs::path& folder, const LowRanks& paths, const std::string& base,
                   bool gpt2) {
  std::vector<TensorBytes> tensors;
  Json layers = Json::array(), ranks = Json::object();
  int64_t most = 1;
  for (const auto& [layer, path] : paths) {
    layers.push_back(layer);
    ranks[layer] = path.rank();
    most = std::max(most, path.rank());
    tensors.push_back(ToBFloat16(kRoot + layer + kA, path.a));
    tensors.push_back(ToBFloat16(kRoot + layer + kB, path.b));
  }
  WriteTensors(folder / "adapter_model.safetensors", tensors);
  const Json config{{"peft_type", "LORA"},
                    {"task_type", "CAUSAL_LM"},
                    {"base_model_name_or_path", base},
                    {"r", most},
                    {"lora_alpha", most},
                    {"rank_pattern", ranks},
                    {"alpha_pattern", ranks},
                    {"target_modules", layers},
                    {"lora_dropout", 0.0},
                    {"bias", "none"},
                    {"fan_in_fan_out", gpt2},
                    {"inference_mode", true}};
  WriteFile(folder / "adapter_config.json", config.dump(1) + "\n");
}

LowRank RoundToStored(const LowRank& path) {
  LowRank rounded{path.a.Clone(), path.b.Clone()};
  for (Tensor* t : {&rounded.a, &rounded.b})
    for (float& v : t->span<float>()) v = BFloat16ToFloat(FloatToBFloat16(v));
  return rounded;
}

}  // namespace mezzo
