// NumPy's .npy files, versions 1 to 3.
//
//   "\x93NUMPY" | major, minor | header length (2 bytes, 4 from version 2 on) |
//   {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } padding "\n" | elements
//
// Read: bool, int8-64, uint8-64, float16-64 in either byte order, C and Fortran order, headers up
// to 64 KiB. Refused with a FileError that names the file and what it holds: strings, objects,
// complex numbers, dates, records, float128; a header that is not such a dictionary; more or fewer
// bytes than the shape needs.
#pragma once

#include <filesystem>
#include <string>

#include "mezzo/base/files.h"
#include "mezzo/tensor/tensor.h"

namespace mezzo {

// An array in a file, read on demand: holding one costs no memory. Safe to read from several
// threads.
class NpyArray {
 public:
  // Reads the header only. Errors name `source.name()`.
  explicit NpyArray(ByteSource source);

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  const std::string& name() const { return data_.name(); }

  Tensor Read() const;
  // Rows [begin, end) along the leading axis, which must exist.
  Tensor Rows(int64_t begin, int64_t end) const;

 private:
  void ParseHeader(const std::string& header);
  Tensor Finish(Tensor t) const;  // native byte order, bools of 0 and 1

  ByteSource data_;
  DType dtype_ = DType::kNone;
  Shape shape_;
  bool swapped_ = false;  // stored in the byte order this machine does not use
  bool fortran_ = false;
};

Tensor ReadNpy(const std::filesystem::path& path);

// What comes before the elements of a version 1 file in C order. bfloat16 has no .npy form:
// UsageError.
std::string NpyHeader(DType dtype, const Shape& shape);
void WriteNpy(const std::filesystem::path& path, const Tensor& tensor);

}  // namespace mezzo
