// Writes the IR as an ONNX file.
#pragma once

#include <filesystem>
#include <vector>

#include "mezzo/graph/graph.h"

namespace mezzo {

constexpr size_t kMaxInlineWeights = size_t{3} << 29;  // 1.5 GB; a protobuf file ends at 2

// Writes opset model.opset and the matching ir_version. Initializers of more than `max_inline`
// bytes in all, those of subgraphs included, go to PATH.data beside it. A file appears whole or not
// at all; the same model gives the same bytes. Returns what was written, `path` first. Throws
// FileError.
std::vector<std::filesystem::path> WriteOnnx(const Model& model, const std::filesystem::path& path,
                                             size_t max_inline = kMaxInlineWeights);

// What WriteOnnx would write, in bytes, with all initializers in one file.
size_t OnnxBytes(const Model& model);
// What a graph takes within that, without the length that leads it: sizes of nodes and initializers
// add up.
size_t OnnxBytes(const Graph& graph);

}  // namespace mezzo
