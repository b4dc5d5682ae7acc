// What the files of language models have in common: named tensors that lie in a mapped file and are
// read as float, whole or by rows, when they are needed. Holding a checkpoint costs no memory but
// its table of tensors.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mezzo/base/files.h"
#include "mezzo/format/storage.h"
#include "mezzo/tensor/tensor.h"

namespace mezzo {

// Safe to read from several threads.
struct StoredTensor {
  Storage storage = Storage::kF32;
  Shape shape;                        // outermost dimension first, the last one runs fastest
  std::span<const uint8_t> bytes;     // as stored: StoredBytes(storage, shape) of them, unaligned
  std::shared_ptr<const void> owner;  // keeps `bytes` where they are
  std::string where;                  // "PATH: tensor 'NAME'", begins every message

  // float32 of `shape`. What rounds is said in storage.h.
  Tensor Read() const;
  // Rows [begin, end) along the leading axis, which must exist. UsageError if there are no such
  // rows or, in a tensor of rank 1 whose elements are coded in blocks, they end inside a block.
  Tensor Rows(int64_t begin, int64_t end) const;
};

struct Checkpoint {
  std::string path;
  std::map<std::string, StoredTensor> tensors;  // by name

  const StoredTensor& At(const std::string& name) const;  // FileError if there is none
};

// Bytes a tensor takes. None if a dimension is negative, the numbers overflow (a dimension of zero
// does not hide others that do), or the last dimension is no whole number of blocks.
std::optional<uint64_t> StoredBytes(Storage storage, const Shape& shape);

// The text in quotes for a message: control characters replaced, cut to 200 bytes.
std::string Quoted(std::string_view text);

struct TensorSpec {
  std::string name;
  Storage storage;
  Shape shape;
};

// Writes a checkpoint whose header is known before its data: the tensors come one at a time, each
// with its own bytes. The file appears at Commit() or not at all (AtomicWriter). Begun by
// WriteSafetensors and WriteGguf.
class CheckpointWriter {
 public:
  // Every tensor begins at a multiple of `alignment`; zeros fill the gaps, also after the last.
  CheckpointWriter(const std::filesystem::path& path, std::vector<TensorSpec> tensors,
                   std::string_view header, size_t alignment);

  // The next tensor's data, which must be `name`. UsageError unless it is, and n its size.
  void Add(std::string_view name, const void* data, size_t n);
  // UsageError if tensors are missing.
  void Commit();

 private:
  void Pad();

  std::string path_;
  std::vector<TensorSpec> tensors_;
  size_t alignment_, next_ = 0;
  AtomicWriter writer_;
};

// The bytes of each tensor. UsageError for one that cannot be stored or a name that comes twice.
std::vector<uint64_t> CheckSpecs(const std::string& path, const std::vector<TensorSpec>& tensors);

}  // namespace mezzo
