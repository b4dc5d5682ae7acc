// The files of a quantized language model (import/llm/quantized.h), a block at a time.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "mezzo/import/llm/model.h"
#include "mezzo/import/llm/quantized.h"

namespace mezzo {

// What a linear layer's weight becomes: four-bit codes with a scale for each group, int8 codes with
// one for each row, or what it is.
enum class LlmPrecision : uint8_t { kFourBits, kInt8, kFloat };
// "4bit", "int8", "float32"; UsageError for another name.
std::string_view Name(LlmPrecision p);
LlmPrecision LlmPrecisionOf(const std::string& name);
// Ranks of recovery paths by layer; none for those that are not in it.
using LlmRanks = std::map<std::string, int64_t>;
// By layer; four bits for those that are not in it.
using LlmPrecisions = std::map<std::string, LlmPrecision>;
LlmPrecision PrecisionOf(const LlmPrecisions& precisions, const std::string& layer);

class QuantizedFolder {
 public:
  // A folder that is there.
  QuantizedFolder(const LanguageModel& model, std::filesystem::path folder)
      : model_(model), folder_(std::move(folder)) {}

  // A layer of the block that is written next, with its weight's name; others go as they are.
  void Add(const std::string& layer, const std::string& weight, const StoredMatrix& codes);
  void WriteBlock(int64_t block, const Graph& graph);
  // The embedding and the head, in int8 rows unless `float_head`, and the last norm.
  void WriteTables(bool float_head);
  // The index, config.json and the tokenizer.
  void Finish(const LlmQuantization& stored);

  // Bytes of the files of weights, and of adapters.
  int64_t Bytes() const;

 private:
  int64_t Shards() const { return model_.config().layers + 1; }
  std::filesystem::path Shard(int64_t i) const;

  const LanguageModel& model_;
  const std::filesystem::path folder_;
  std::vector<TensorBytes> block_;
  std::set<std::string> packed_;  // weights of the block at hand
};

// The model with each linear layer's weight in the precision asked for; four-bit codes are those of
// `four_bits`, the same model quantized, whose format and activations it takes over, and so are its
// recovery paths, cut down to these ranks. Throws UsageError if `out` exists, FileError if codes
// are missing.
void ComposeLanguageModel(const LanguageModel& model, const LanguageModel& four_bits,
                          const LlmPrecisions& precisions, const LlmRanks& ranks,
                          const std::filesystem::path& out);

}  // namespace mezzo
