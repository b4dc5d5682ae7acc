// Writes the IR as an ONNX file.
#pragma once

#include <filesystem>

#include "mezzo/graph/graph.h"

namespace mezzo {

// Writes opset model.opset and the matching ir_version. Initializers over 1.5 GB in all go to
// PATH.data beside it. The file appears whole or not at all; the same model gives the same bytes.
// Throws FileError.
void WriteOnnx(const Model& model, const std::filesystem::path& path);

}  // namespace mezzo
