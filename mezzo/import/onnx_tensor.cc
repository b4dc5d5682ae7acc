#include "mezzo/import/onnx_tensor.h"

#include <bit>
#include <charconv>
#include <cstring>

static_assert(std::endian::native == std::endian::little, "ONNX raw data is little-endian");

namespace mezzo {
namespace {

// The typed field that holds elements of this type (onnx.proto, "Tensor content must be organized
// in...").
template <class Field>
void CopyField(const Field& field, Tensor& t, const std::string& where) {
  RequireFile(field.size() == t.numel(), where, "has ", field.size(), " values for shape ",
              ToString(t.shape()));
  if (t.numel() == 0) return;
  switch (SizeOf(t.dtype())) {
    case 1:
      std::copy(field.begin(), field.end(), static_cast<uint8_t*>(t.raw()));
      return;
    case 2:
      std::copy(field.begin(), field.end(), static_cast<uint16_t*>(t.raw()));
      return;
    default:
      break;
  }
  using T = typename Field::value_type;
  RequireFile(SizeOf(t.dtype()) == sizeof(T) || t.dtype() == DType::kUInt32, where,
              "keeps its values in an unexpected field");
  if (SizeOf(t.dtype()) == sizeof(T))
    std::memcpy(t.raw(), field.data(), t.bytes());
  else
    std::copy(field.begin(), field.end(), static_cast<uint32_t*>(t.raw()));
}

size_t ParseSize(const std::string& text, const std::string& where) {
  size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  RequireFile(error == std::errc() && end == text.data() + text.size(), where,
              "external data: not a number: ", text);
  return value;
}

}  // namespace

Tensor TensorDecoder::Decode(const onnx::TensorProto& proto) {
  const std::string where = Cat(path_.string(), ": tensor ", proto.name(), ": ");
  const DType dtype = static_cast<DType>(proto.data_type());
  RequireFile(proto.data_type() > 0 && proto.data_type() < 32 && StorageBytes(dtype, 2) > 0, where,
              "element type ", proto.data_type(), " (", Name(dtype), ") is not supported");
  RequireFile(!proto.has_segment(), where, "segmented tensors are not supported");
  const Shape shape(proto.dims().begin(), proto.dims().end());
  int64_t count = 1;
  for (const int64_t d : shape)
    RequireFile(d >= 0 && !__builtin_mul_overflow(count, d, &count) && count < (int64_t{1} << 46),
                where, "impossible shape ", ToString(shape));
  if (proto.data_location() == onnx::TensorProto::EXTERNAL) return External(proto, dtype, shape);

  if (proto.has_raw_data()) {
    const std::string& raw = proto.raw_data();
    const size_t need = StorageBytes(dtype, static_cast<size_t>(count));
    RequireFile(raw.size() == need, where, "has ", raw.size(), " bytes, shape ", ToString(shape),
                " of ", Name(dtype), " needs ", need);
    Tensor t(dtype, shape);
    std::memcpy(t.raw(), raw.data(), raw.size());
    return t;
  }
  // The values are in the message, so their number bounds what is allocated.
  const int64_t held =
      std::max({proto.float_data_size(), proto.int32_data_size(), proto.int64_data_size(),
                proto.double_data_size(), proto.uint64_data_size()});
  RequireFile(held == (IsPacked(dtype) ? (count + 1) / 2 : count), where, "has ", held,
              " values for shape ", ToString(shape));
  Tensor t(dtype, shape);
  switch (dtype) {
    case DType::kUInt4:
    case DType::kInt4:  // two a value
      RequireFile(static_cast<size_t>(proto.int32_data_size()) == t.bytes(), where,
                  "keeps its values in an unexpected field");
      std::copy(proto.int32_data().begin(), proto.int32_data().end(),
                static_cast<uint8_t*>(t.raw()));
      break;
    case DType::kFloat32:
      CopyField(proto.float_data(), t, where);
      break;
    case DType::kFloat64:
      CopyField(proto.double_data(), t, where);
      break;
    case DType::kInt64:
      CopyField(proto.int64_data(), t, where);
      break;
    case DType::kUInt64:
    case DType::kUInt32:
      CopyField(proto.uint64_data(), t, where);
      break;
    default:
      CopyField(proto.int32_data(), t, where);
      break;
  }
  return t;
}

std::vector<std::filesystem::path> TensorDecoder::ExternalFiles() const {
  std::vector<std::filesystem::path> files;
  for (const auto& [name, file] : files_) files.push_back(path_.parent_path() / name);
  return files;
}

Tensor TensorDecoder::External(const onnx::TensorProto& proto, DType dtype, const Shape& shape) {
  const std::string where = Cat(path_.string(), ": tensor ", proto.name(), ": ");
  std::string location;
  size_t offset = 0;
  const size_t need = StorageBytes(dtype, static_cast<size_t>(NumElements(shape)));
  size_t length = need;
  for (const auto& entry : proto.external_data()) {
    if (entry.key() == "location") location = entry.value();
    if (entry.key() == "offset") offset = ParseSize(entry.value(), where);
    if (entry.key() == "length") length = ParseSize(entry.value(), where);
  }
  const std::filesystem::path relative = std::filesystem::path(location).lexically_normal();
  RequireFile(!location.empty() && relative.is_relative() && *relative.begin() != "..", where,
              "external data at '", location, "' is not a file under the model's folder");
  if (!files_.contains(relative.string()))
    files_[relative.string()] = MappedFile(path_.parent_path() / relative);
  const MappedFile& file = files_[relative.string()];
  const size_t size = file.bytes().size();
  RequireFile(length == need, where, "external data has ", length, " bytes, needs ", need);
  RequireFile(offset <= size && need <= size - offset, where, "external file ", relative.string(),
              " has ", size, " bytes, needs ", need, " at ", offset);
  const uint8_t* data = file.bytes().data() + offset;
  if (IsPacked(dtype) || reinterpret_cast<uintptr_t>(data) % SizeOf(dtype) == 0)
    return Tensor(dtype, shape, file.owner(), data);
  Tensor t(dtype, shape);
  std::memcpy(t.raw(), data, need);
  return t;
}

}  // namespace mezzo
