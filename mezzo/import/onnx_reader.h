// Reads ONNX files (opset 7 to 23, external data) into the IR.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "mezzo/graph/graph.h"

namespace mezzo {

// The model, brought up to the IR's opset (upgrade.h), with Constant nodes made initializers,
// identity copies removed and nodes sorted. External data is memory-mapped: its tensors cost no
// memory until they are touched.
//
// Throws FileError, naming the path and the tensor or node, if the file is missing, truncated, not
// ONNX, refers to data outside its folder, holds strings or other types that tensors cannot hold
// where they would be computed with, or uses values that nothing makes.
//
// files: if not null, gets the paths of all files that were read, the model's own first.
Model ReadOnnx(const std::filesystem::path& path,
               std::vector<std::filesystem::path>* files = nullptr);
// The same from memory; `path` is what messages name and where external data is looked for.
Model ParseOnnx(std::span<const uint8_t> bytes, const std::filesystem::path& path,
                std::vector<std::filesystem::path>* files = nullptr);

// A single TensorProto, as ONNX's test data holds. Throws FileError.
Tensor ReadTensorProto(const std::filesystem::path& path);

}  // namespace mezzo
