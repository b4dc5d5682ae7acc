// What a GGUF file says about a model beside its tensors.
#pragma once

#include <string>

#include "mezzo/checkpoint/gguf.h"
#include "mezzo/import/llm/model.h"

namespace mezzo {

std::string GgufArchitecture(const LlmConfig& config);  // a mistral is a llama
// The type of a layer with these codes.
Storage BlockStorage(const GroupFormat& format);

// By how much each rotary pair turns more slowly than rope_theta says, for the tensor rope_freqs;
// undefined where rope_theta, or the one factor in the metadata, says it all.
Tensor RotaryFactors(const LlmConfig& config);

// Shape, rotary embedding and tokenizer. UsageError if there is no way to say how the rotary
// embedding is scaled.
GgufMetadata GgufMetadataOf(const LanguageModel& model, const std::string& name);

}  // namespace mezzo
