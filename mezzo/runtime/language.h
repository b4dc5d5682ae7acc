// Language models run over windows of tokens, a block's weights in memory at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "mezzo/base/threads.h"
#include "mezzo/import/llm/model.h"
#include "mezzo/runtime/session.h"

namespace mezzo {

using Window = std::vector<int32_t>;  // token ids; attention sees nothing outside

// The inputs "x" and "positions" of a block, for hidden states (tokens, hidden).
TensorMap BlockInputs(const Tensor& x);

// Rows [begin, end) of a matrix, as a matrix of their own.
Tensor CopyRows(const Tensor& matrix, int64_t begin, int64_t end);

// By window, what the first block reads: (tokens, hidden). Throws UsageError for an id outside the
// vocabulary.
std::vector<Tensor> EmbedWindows(const LanguageModel& model, const std::vector<Window>& windows,
                                 const Threads& threads);

// What the head reads, by window. `step` is called after each block.
std::vector<Tensor> RunBlocks(const LanguageModel& model, const std::vector<Window>& windows,
                              const Threads& threads, const std::function<void()>& step = {});

}  // namespace mezzo
