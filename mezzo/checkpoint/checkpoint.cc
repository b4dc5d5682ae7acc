#include "mezzo/checkpoint/checkpoint.h"

#include <algorithm>
#include <cctype>
#include <set>

namespace mezzo {
namespace {

// Elements from `first` on, both multiples of the block.
Tensor Decode(const StoredTensor& from, int64_t first, Shape shape) {
  const StorageInfo& info = Info(from.storage);
  Tensor t(DType::kFloat32, std::move(shape));
  const auto block = static_cast<int64_t>(info.elements);
  Require(first % block == 0 && t.numel() % block == 0, from.where, ": ", info.name,
          " elements are read by whole blocks of ", block, ", got ", t.numel(), " from ", first);
  info.decode(from.bytes.data() + static_cast<size_t>(first / block) * info.bytes,
              static_cast<size_t>(t.numel() / block), t.data<float>());
  return t;
}

}  // namespace

Tensor StoredTensor::Read() const {
  Tensor t = Decode(*this, 0, shape);
  OfferPages(bytes);
  return t;
}

Tensor StoredTensor::Rows(int64_t begin, int64_t end) const {
  Require(!shape.empty() && 0 <= begin && begin <= end && end <= shape[0], where, ": has no rows ",
          begin, " to ", end, " in ", ToString(shape));
  Shape part = shape;
  part[0] = 1;
  const int64_t row = NumElements(part);
  part[0] = end - begin;
  return Decode(*this, begin * row, std::move(part));
}

const StoredTensor& Checkpoint::At(const std::string& name) const {
  const auto it = tensors.find(name);
  RequireFile(it != tensors.end(), path, ": has no tensor ", Quoted(name));
  return it->second;
}

std::optional<uint64_t> StoredBytes(Storage storage, const Shape& shape) {
  const StorageInfo& info = Info(storage);
  const auto block = static_cast<int64_t>(info.elements);
  int64_t count = 1, bytes = 0;
  bool empty = false;
  for (const int64_t d : shape) {
    empty = empty || d == 0;
    if (d < 0 || __builtin_mul_overflow(count, std::max<int64_t>(d, 1), &count)) return {};
  }
  if ((shape.empty() ? 1 : shape.back()) % block != 0) return {};
  if (__builtin_mul_overflow(count, static_cast<int64_t>(info.bytes), &bytes)) return {};
  return empty ? 0 : static_cast<uint64_t>(bytes / block);
}

std::string Quoted(std::string_view text) {
  std::string s = "'";
  for (const char c : text.substr(0, 200))
    s += std::iscntrl(static_cast<unsigned char>(c)) ? '?' : c;
  return s + (text.size() > 200 ? "...'" : "'");
}

std::vector<uint64_t> CheckSpecs(const std::string& path, const std::vector<TensorSpec>& tensors) {
  std::vector<uint64_t> sizes;
  std::set<std::string_view> names;
  for (const TensorSpec& t : tensors) {
    Require(names.insert(t.name).second, path, ": tensor ", Quoted(t.name), " would come twice");
    const auto size = StoredBytes(t.storage, t.shape);
    Require(size.has_value(), path, ": tensor ", Quoted(t.name), ": ", ToString(t.shape),
            " cannot be stored as ", Info(t.storage).name);
    sizes.push_back(*size);
  }
  return sizes;
}

CheckpointWriter::CheckpointWriter(const std::filesystem::path& path,
                                   std::vector<TensorSpec> tensors, std::string_view header,
                                   size_t alignment)
    : path_(path.string()), tensors_(std::move(tensors)), alignment_(alignment), writer_(path) {
  writer_.Write(header);
  Pad();
}

void CheckpointWriter::Add(std::string_view name, const void* data, size_t n) {
  const bool due = next_ < tensors_.size() && tensors_[next_].name == name;
  Require(due, path_, ": got tensor ", Quoted(name), ", needs ",
          next_ < tensors_.size() ? Quoted(tensors_[next_].name) : "no more");
  const auto size = StoredBytes(tensors_[next_].storage, tensors_[next_].shape);
  Require(n == size, path_, ": tensor ", Quoted(name), ": got ", n, " bytes, needs ", *size);
  writer_.Write(data, n);
  Pad();
  ++next_;
}

void CheckpointWriter::Commit() {
  Require(next_ == tensors_.size(), path_, ": committed after ", next_, " of ", tensors_.size(),
          " tensors");
  writer_.Commit();
}

void CheckpointWriter::Pad() {
  const std::string zeros((alignment_ - writer_.position() % alignment_) % alignment_, '\0');
  writer_.Write(zeros);
}

}  // namespace mezzo
