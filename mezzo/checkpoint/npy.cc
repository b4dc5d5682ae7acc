#include "mezzo/checkpoint/npy.h"

#include <algorithm>
#include <bit>
#include <cctype>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

namespace mezzo {
namespace {

constexpr std::string_view kMagic{"\x93NUMPY", 6};
constexpr size_t kMaxHeader = 64 << 10;
constexpr size_t kMaxRank = 64;  // NumPy's own limit
constexpr bool kLittle = std::endian::native == std::endian::little;

struct TypeCode {
  std::string_view code;
  DType dtype;
};
constexpr TypeCode kTypes[] = {
    {"b1", DType::kBool},    {"i1", DType::kInt8},    {"u1", DType::kUInt8},
    {"i2", DType::kInt16},   {"u2", DType::kUInt16},  {"i4", DType::kInt32},
    {"u4", DType::kUInt32},  {"i8", DType::kInt64},   {"u8", DType::kUInt64},
    {"f2", DType::kFloat16}, {"f4", DType::kFloat32}, {"f8", DType::kFloat64},
};

// Reads the Python literals that a header consists of.
class HeaderReader {
 public:
  HeaderReader(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  bool Take(char c) {
    SkipSpace();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void Expect(char c) {
    if (!Take(c)) Fail();
  }
  std::string String() {
    SkipSpace();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    if (quote != '\'' && quote != '"') Fail();
    const size_t end = text_.find(quote, ++at_);
    if (end == text_.npos) Fail();
    const size_t begin = std::exchange(at_, end + 1);
    return std::string(text_.substr(begin, end - begin));
  }
  bool Bool() {
    SkipSpace();
    for (const bool value : {false, true}) {
      const std::string_view word = value ? "True" : "False";
      if (text_.substr(at_, word.size()) != word) continue;
      at_ += word.size();
      return value;
    }
    Fail();
  }
  Shape Tuple() {
    Shape shape;
    Expect('(');
    while (!Take(')')) {
      shape.push_back(Int());
      RequireFile(shape.size() <= kMaxRank, name_, ": has more than ", kMaxRank, " dimensions");
      if (!Take(',')) {
        Expect(')');
        break;
      }
    }
    return shape;
  }
  void End() {
    SkipSpace();
    if (at_ != text_.size()) Fail();
  }
  [[noreturn]] void Fail() const {
    throw FileError(Cat(name_,
                        ": its .npy header is no dictionary of descr, fortran_order and shape: ",
                        Printable(text_.substr(0, 200))));
  }

  static std::string Printable(std::string_view text) {
    std::string s(text);
    for (char& c : s)
      if (!std::isprint(static_cast<unsigned char>(c))) c = c == '\n' ? ' ' : '?';
    return s.substr(0, s.find_last_not_of(' ') + 1);
  }

 private:
  void SkipSpace() {
    while (at_ < text_.size() && std::strchr(" \n\t\r", text_[at_]) && text_[at_] != '\0') ++at_;
  }
  int64_t Int() {
    SkipSpace();
    int64_t value = 0;
    const size_t first = at_;
    for (; at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_])); ++at_)
      RequireFile(!__builtin_mul_overflow(value, 10, &value) &&
                      !__builtin_add_overflow(value, text_[at_] - '0', &value),
                  name_, ": has a dimension over 2^63");
    if (at_ == first) Fail();
    if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // Python 2 wrote long integers so
    return value;
  }

  std::string_view text_;
  const std::string& name_;
  size_t at_ = 0;
};

template <class T>
void SwapBytes(void* data, int64_t n) {
  auto* p = static_cast<unsigned char*>(data);
  for (int64_t i = 0; i < n; ++i, p += sizeof(T)) std::reverse(p, p + sizeof(T));
}

}  // namespace

NpyArray::NpyArray(ByteSource source) : data_(std::move(source)) {
  const std::string& name = data_.name();
  unsigned char start[12] = {};
  data_.Read(0, start, std::min<uint64_t>(sizeof start, data_.size()));
  RequireFile(data_.size() >= 10 && std::memcmp(start, kMagic.data(), kMagic.size()) == 0, name,
              ": is no .npy array");
  const int major = start[6];
  RequireFile(major >= 1 && major <= 3, name, ": has .npy version ", major, ", known are 1 to 3");
  size_t length = start[8] | start[9] << 8;
  if (major > 1)
    length |= static_cast<size_t>(start[10]) << 16 | static_cast<size_t>(start[11]) << 24;
  RequireFile(length <= kMaxHeader, name, ": has a .npy header of ", length,
              " bytes, the limit is ", kMaxHeader);
  const size_t begin = major > 1 ? 12 : 10;
  RequireFile(length <= data_.size() && begin <= data_.size() - length, name,
              ": ends inside its .npy header");
  std::string header(length, '\0');
  data_.Read(begin, header.data(), length);
  ParseHeader(header);

  int64_t bytes = static_cast<int64_t>(SizeOf(dtype_));
  bool fits = true;
  for (const int64_t d : shape_) fits = fits && d != 0;
  if (!fits) bytes = 0;
  for (const int64_t d : shape_)
    RequireFile(bytes == 0 || !__builtin_mul_overflow(bytes, d, &bytes), name,
                ": has the impossible shape ", ToString(shape_));
  const uint64_t have = data_.size() - begin - length;
  RequireFile(have == static_cast<uint64_t>(bytes), name, ": has ", have, " bytes of data, but ",
              ToString(shape_), " of ", Name(dtype_), " takes ", bytes);
  data_ = data_.Slice(begin + length, have, name);
}

void NpyArray::ParseHeader(const std::string& header) {
  HeaderReader in(header, name());
  std::optional<std::string> descr;
  std::optional<bool> fortran;
  std::optional<Shape> shape;
  in.Expect('{');
  while (!in.Take('}')) {
    const std::string key = in.String();
    in.Expect(':');
    if (key == "descr") {
      RequireFile(!in.Take('['), name(), ": holds records, needs plain numbers");
      descr = in.String();
    } else if (key == "fortran_order") {
      fortran = in.Bool();
    } else if (key == "shape") {
      shape = in.Tuple();
    } else {
      in.Fail();
    }
    if (!in.Take(',')) {
      in.Expect('}');
      break;
    }
  }
  in.End();
  if (!descr || !fortran || !shape) in.Fail();
  const char order = descr->empty() ? '\0' : (*descr)[0];
  for (const TypeCode& type : kTypes)
    if (std::strchr("<>|=", order) && order != '\0' && descr->substr(1) == type.code)
      dtype_ = type.dtype;
  RequireFile(dtype_ != DType::kNone, name(), ": holds elements of type '",
              HeaderReader::Printable(*descr), "', needs bool, integers or float16 to float64");
  swapped_ = (order == '>' && kLittle) || (order == '<' && !kLittle);
  fortran_ = *fortran && shape->size() > 1;
  shape_ = *std::move(shape);
}

Tensor NpyArray::Read() const {
  if (shape_.empty()) {
    Tensor t(dtype_, shape_);
    data_.Read(0, t.raw(), t.bytes());
    return Finish(std::move(t));
  }
  return Rows(0, shape_[0]);
}

Tensor NpyArray::Rows(int64_t begin, int64_t end) const {
  Require(!shape_.empty() && 0 <= begin && begin <= end && end <= shape_[0], name(),
          ": has no rows ", begin, " to ", end, " in ", ToString(shape_));
  Shape shape = shape_;
  shape[0] = end - begin;
  Tensor t(dtype_, shape);
  if (t.numel() == 0) return t;
  const size_t item = SizeOf(dtype_);
  const int64_t rows = shape[0], row = t.numel() / rows;
  if (!fortran_) {
    data_.Read(static_cast<uint64_t>(begin * row) * item, t.raw(), t.bytes());
    return Finish(std::move(t));
  }
  // The leading axis runs fastest: a run of `rows` elements for each place inside a row, whose own
  // axes count up from the second one.
  std::vector<unsigned char> run(static_cast<size_t>(rows) * item);
  Shape index(shape.size(), 0);
  auto* out = static_cast<unsigned char*>(t.raw());
  for (int64_t i = 0; i < row; ++i) {
    data_.Read(static_cast<uint64_t>(i * shape_[0] + begin) * item, run.data(), run.size());
    int64_t place = 0;
    for (size_t a = 1; a < shape.size(); ++a) place = place * shape[a] + index[a];
    for (int64_t r = 0; r < rows; ++r)
      std::memcpy(out + static_cast<size_t>(r * row + place) * item,
                  &run[static_cast<size_t>(r) * item], item);
    for (size_t a = 1; a < shape.size() && ++index[a] == shape[a]; ++a) index[a] = 0;
  }
  return Finish(std::move(t));
}

Tensor NpyArray::Finish(Tensor t) const {
  if (swapped_) {
    switch (SizeOf(dtype_)) {
      case 2:
        SwapBytes<uint16_t>(t.raw(), t.numel());
        break;
      case 4:
        SwapBytes<uint32_t>(t.raw(), t.numel());
        break;
      case 8:
        SwapBytes<uint64_t>(t.raw(), t.numel());
        break;
      default:
        break;
    }
  }
  if (dtype_ == DType::kBool) {
    auto* bytes = static_cast<unsigned char*>(t.raw());
    for (int64_t i = 0; i < t.numel(); ++i) bytes[i] = bytes[i] != 0;
  }
  return t;
}

Tensor ReadNpy(const std::filesystem::path& path) { return NpyArray(ByteSource(path)).Read(); }

std::string NpyHeader(DType dtype, const Shape& shape) {
  std::string_view code;
  for (const TypeCode& type : kTypes)
    if (type.dtype == dtype) code = type.code;
  Require(!code.empty(), "a .npy array cannot hold ", Name(dtype));
  std::string dims;
  for (const int64_t d : shape) dims += std::to_string(d) + (shape.size() == 1 ? "," : ", ");
  if (shape.size() > 1) dims.resize(dims.size() - 2);
  std::string text = Cat("{'descr': '",
                         SizeOf(dtype) == 1 ? '|'
                         : kLittle          ? '<'
                                            : '>',
                         code, "', 'fortran_order': False, 'shape': (", dims, "), }");
  const size_t padded = (10 + text.size() + 1 + 63) / 64 * 64;  // so that the elements are aligned
  text.resize(padded - 11, ' ');
  text += '\n';
  std::string header(kMagic);
  header += {'\1', '\0', static_cast<char>(text.size() & 255), static_cast<char>(text.size() >> 8)};
  return header + text;
}

void WriteNpy(const std::filesystem::path& path, const Tensor& tensor) {
  const Tensor plain = tensor.ToLayout(Layout::kPlain);
  AtomicWriter writer(path);
  writer.Write(NpyHeader(plain.dtype(), plain.shape()));
  writer.Write(plain.raw(), plain.bytes());
  writer.Commit();
}

}  // namespace mezzo
