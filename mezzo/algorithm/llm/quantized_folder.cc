#include "mezzo/algorithm/llm/quantized_folder.h"

#include <nlohmann/json.hpp>

#include "mezzo/algorithm/llm/sequential.h"
#include "mezzo/base/files.h"
#include "mezzo/import/llm/adapters.h"
#include "mezzo/import/llm/shards.h"
#include "mezzo/tensor/arithmetic.h"

namespace mezzo {

namespace fs = std::filesystem;

std::string_view Name(LlmPrecision p) {
  return p == LlmPrecision::kFourBits ? "4bit" : p == LlmPrecision::kInt8 ? "int8" : "float32";
}

LlmPrecision LlmPrecisionOf(const std::string& name) {
  for (const auto p : {LlmPrecision::kFourBits, LlmPrecision::kInt8, LlmPrecision::kFloat})
    if (Name(p) == name) return p;
  throw UsageError(Cat("precision: got '", name, "', needs 4bit, int8 or float32"));
}

LlmPrecision PrecisionOf(const LlmPrecisions& precisions, const std::string& layer) {
  const auto it = precisions.find(layer);
  return it == precisions.end() ? LlmPrecision::kFourBits : it->second;
}

fs::path QuantizedFolder::Shard(int64_t i) const { return folder_ / ShardName(i, Shards()); }

void QuantizedFolder::Add(const std::string& layer, const std::string& weight,
                          const StoredMatrix& codes) {
  if (std::holds_alternative<Tensor>(codes)) return;
  packed_.insert(weight);
  const auto* groups = std::get_if<GroupCodes>(&codes);
  for (TensorBytes& t : groups ? Packed(layer, *groups) : Packed(layer, std::get<RowCodes>(codes)))
    block_.push_back(std::move(t));
}

void QuantizedFolder::WriteBlock(int64_t block, const Graph& graph) {
  for (const auto& [name, t] : graph.initializers) {
    // shapes and rotary tables are not the model's
    if (t.dtype() != DType::kFloat32 || packed_.contains(name) || name.starts_with("rotary."))
      continue;
    // as Hugging Face has GPT-2's matrices
    block_.push_back(ToBytes(name, model_.gpt2() && t.rank() == 2 ? Transposed(t) : t));
  }
  WriteTensors(Shard(block), block_);
  block_.clear();
  packed_.clear();
}

void QuantizedFolder::WriteTables(bool float_head) {
  std::vector<TensorBytes> tensors;
  std::set<std::string> seen;
  const auto add = [&](const Graph& graph) {
    for (const auto& [name, t] : graph.initializers) {
      if (t.dtype() != DType::kFloat32 || !seen.insert(name).second) continue;
      const std::string module = name.substr(0, name.rfind('.'));
      if (t.rank() != 2 || float_head) {
        tensors.push_back(ToBytes(name, t));
      } else {
        for (TensorBytes& b : Packed(module, RoundRows(t))) tensors.push_back(std::move(b));
      }
    }
  };
  add(model_.Embedding());
  add(model_.Head());
  WriteTensors(Shard(model_.config().layers), tensors);
}

void QuantizedFolder::Finish(const LlmQuantization& stored) {
  WriteShardIndex(folder_, Shards());
  nlohmann::ordered_json config = model_.HfConfig();
  config["quantization_config"] = ToJson(stored);
  WriteFile(folder_ / "config.json", config.dump(1) + "\n");
  model_.CopyTokenizer(folder_);
}

int64_t QuantizedFolder::Bytes() const {
  int64_t sum = 0;
  for (int64_t i = 0; i < Shards(); ++i) sum += static_cast<int64_t>(fs::file_size(Shard(i)));
  if (HoldsAdapters(folder_))
    sum += static_cast<int64_t>(fs::file_size(folder_ / "adapter_model.safetensors"));
  return sum;
}

void ComposeLanguageModel(const LanguageModel& model, const LanguageModel& four_bits,
                          const LlmPrecisions& precisions, const LlmRanks& ranks,
                          const fs::path& out) {
  Require(!fs::exists(out), out.string(), ": exists already");
  const auto& stored = four_bits.config().quantization;
  Require(stored.has_value(), four_bits.path(), ": is not quantized");
  const fs::path part = PartOf(out);
  fs::create_directories(part);
  try {
    QuantizedFolder folder(model, part);
    for (int64_t b = 0; b < model.config().layers; ++b) {
      const Graph graph = model.Block(b);
      for (const std::string& name : LinearLayers(graph)) {
        const std::string weight = name + ".weight";
        const Tensor& w = graph.initializers.at(weight);
        const LlmPrecision p = PrecisionOf(precisions, name);
        if (p == LlmPrecision::kInt8) folder.Add(name, weight, RoundRows(w));
        if (p != LlmPrecision::kFourBits) continue;
        auto codes = ReadCodes(four_bits.checkpoint(), name, stored->format, w.shape());
        RequireFile(codes.has_value(), four_bits.path(), ": has no codes of ", name);
        folder.Add(name, weight, *codes);
      }
      folder.WriteBlock(b, graph);
    }
    folder.WriteTables(!four_bits.Holds(model.HeadModule() + ".weight_codes"));
    folder.Finish(*stored);
    LowRanks paths;
    for (const auto& [layer, rank] : ranks)
      if (rank > 0) paths[layer] = Truncated(four_bits.paths().at(layer), rank);
    if (!paths.empty()) WriteAdapters(part, paths, out.filename().string(), model.gpt2());
    fs::rename(part, out);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(part, ignored);
    throw;
  }
}

}  // namespace mezzo
