// TensorProto to Tensor.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <vector>

#include "mezzo/base/files.h"
#include "mezzo/import/onnx_proto.h"
#include "mezzo/tensor/tensor.h"

namespace mezzo {

// Turns the tensors of one ONNX file into Tensors; finds the files beside it that hold external
// data.
class TensorDecoder {
 public:
  // `path` is the ONNX file: it leads messages, and external data must lie under its folder.
  explicit TensorDecoder(std::filesystem::path path) : path_(std::move(path)) {}

  // Throws FileError naming the file and the tensor: unknown type, sizes that disagree, external
  // data that is missing, too short, or outside the folder.
  Tensor Decode(const onnx::TensorProto& proto);

  // Those that held the tensors decoded so far, sorted.
  std::vector<std::filesystem::path> ExternalFiles() const;

 private:
  Tensor External(const onnx::TensorProto& proto, DType dtype, const Shape& shape);

  std::filesystem::path path_;
  std::map<std::string, MappedFile> files_;
};

}  // namespace mezzo
