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

constexpr std::string_view kRoot = "base_model.model.";

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

bool IsPathMatrix(const std::string& name, const StoredTensor& t) {
  return name.starts_with(kRoot) && (name.ends_with(kPathA) || name.ends_with(kPathB)) &&
         t.shape.size() == 2;
}

}  // namespace

bool HoldsAdapters(const fs::path& folder) { return fs::exists(folder / "adapter_config.json"); }

LowRanks ReadAdapters(const fs::path& folder) {
  const std::string where = (folder / "adapter_config.json").string();
  const Json config = Json::parse(ReadFile(where, uint64_t{1} << 24), nullptr, false);
  CheckKind(config, where);
  const Safetensors file = ReadSafetensors(folder / "adapter_model.safetensors");
  for (const auto& [name, stored] : file.tensors)
    RequireFile(IsPathMatrix(name, stored), stored.where, ": needs matrices ", kRoot, "LAYER",
                kPathA, " and ", kPathB);
  LowRanks paths = PathsIn(file);
  for (auto& [layer, path] : paths) {
    const float scale = Scale(config, layer, path.rank(), where);
    for (float& v : path.b.span<float>()) v *= scale;
  }
  return paths;
}

std::vector<TensorBytes> PathTensors(const LowRanks& paths) {
  std::vector<TensorBytes> tensors;
  for (const auto& [layer, path] : paths) {
    tensors.push_back(ToBFloat16(Cat(kRoot, layer, kPathA), path.a));
    tensors.push_back(ToBFloat16(Cat(kRoot, layer, kPathB), path.b));
  }
  return tensors;
}

LowRanks PathsIn(const Checkpoint& c) {
  LowRanks paths;
  std::string where;
  for (const auto& [name, stored] : c.tensors) {
    if (!IsPathMatrix(name, stored)) continue;
    where = stored.where;
    const bool is_a = name.ends_with(kPathA);
    const size_t end = name.size() - std::string_view(is_a ? kPathA : kPathB).size();
    LowRank& path = paths[name.substr(kRoot.size(), end - kRoot.size())];
    (is_a ? path.a : path.b) = stored.Read();
  }
  for (const auto& [layer, path] : paths) {
    RequireFile(path.a.defined() && path.b.defined(), where, ": ", layer, " lacks one matrix");
    RequireFile(path.a.dim(0) == path.b.dim(1) && path.a.dim(0) > 0, where, ": ", layer, " has A ",
                ToString(path.a.shape()), " and B ", ToString(path.b.shape()));
  }
  return paths;
}

void WriteAdapters(const fs::path& folder, const LowRanks& paths, const std::string& base,
                   bool gpt2) {
  Json layers = Json::array(), ranks = Json::object();
  int64_t most = 1;
  for (const auto& [layer, path] : paths) {
    layers.push_back(layer);
    ranks[layer] = path.rank();
    most = std::max(most, path.rank());
  }
  WriteTensors(folder / "adapter_model.safetensors", PathTensors(paths));
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

}  // namespace mezzo
