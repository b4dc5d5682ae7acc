// Element types as files and interfaces know them; the numbers are ONNX's TensorProto.DataType.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "mezzo/base/error.h"

namespace mezzo {

enum class DType : uint8_t {
  kNone = 0,  // an absent tensor
  kFloat32 = 1,
  kUInt8 = 2,
  kInt8 = 3,
  kUInt16 = 4,
  kInt16 = 5,
  kInt32 = 6,
  kInt64 = 7,
  kString = 8,  // named in messages only: no tensor holds it
  kBool = 9,
  kFloat16 = 10,
  kFloat64 = 11,
  kUInt32 = 12,
  kUInt64 = 13,
  kBFloat16 = 16,
  kUInt4 = 21,
  kInt4 = 22,
};

// Two elements a byte, the first in the low half. Files hold them; sessions widen them to bytes.
constexpr bool IsPacked(DType t) { return t == DType::kUInt4 || t == DType::kInt4; }

// Bytes an element takes; 0 for a type that tensors cannot hold, or hold two a byte.
constexpr size_t SizeOf(DType t) {
  switch (t) {
    case DType::kUInt8:
    case DType::kInt8:
    case DType::kBool:
      return 1;
    case DType::kUInt16:
    case DType::kInt16:
    case DType::kFloat16:
    case DType::kBFloat16:
      return 2;
    case DType::kFloat32:
    case DType::kInt32:
    case DType::kUInt32:
      return 4;
    case DType::kInt64:
    case DType::kUInt64:
    case DType::kFloat64:
      return 8;
    default:
      return 0;
  }
}

// Bytes that `count` elements take; 0 for a type that tensors cannot hold.
constexpr size_t StorageBytes(DType t, size_t count) {
  return IsPacked(t) ? (count + 1) / 2 : count * SizeOf(t);
}

constexpr std::string_view Name(DType t) {
  switch (t) {
    case DType::kFloat32:
      return "float32";
    case DType::kUInt8:
      return "uint8";
    case DType::kInt8:
      return "int8";
    case DType::kUInt16:
      return "uint16";
    case DType::kInt16:
      return "int16";
    case DType::kInt32:
      return "int32";
    case DType::kInt64:
      return "int64";
    case DType::kString:
      return "string";
    case DType::kBool:
      return "bool";
    case DType::kFloat16:
      return "float16";
    case DType::kFloat64:
      return "float64";
    case DType::kUInt32:
      return "uint32";
    case DType::kUInt64:
      return "uint64";
    case DType::kBFloat16:
      return "bfloat16";
    case DType::kUInt4:
      return "uint4";
    case DType::kInt4:
      return "int4";
    case DType::kNone:
      return "none";
  }
  return "unknown";
}

template <class T>
struct DTypeOf;  // the DType that holds a C++ type
#define MEZZO_DTYPE(T, D)                    \
  template <>                                \
  struct DTypeOf<T> {                        \
    static constexpr DType value = DType::D; \
  };
MEZZO_DTYPE(float, kFloat32)
MEZZO_DTYPE(double, kFloat64)
MEZZO_DTYPE(int8_t, kInt8)
MEZZO_DTYPE(uint8_t, kUInt8)
MEZZO_DTYPE(int16_t, kInt16)
MEZZO_DTYPE(uint16_t, kUInt16)
MEZZO_DTYPE(int32_t, kInt32)
MEZZO_DTYPE(uint32_t, kUInt32)
MEZZO_DTYPE(int64_t, kInt64)
MEZZO_DTYPE(uint64_t, kUInt64)
MEZZO_DTYPE(bool, kBool)
#undef MEZZO_DTYPE

// The one switch from a DType into templates: calls f.operator()<T>() with the C++ type.
// Throws UsageError for types without arithmetic of their own (float16, bfloat16: convert first).
template <class F>
decltype(auto) WithType(DType t, F&& f) {
  switch (t) {
    case DType::kFloat32:
      return f.template operator()<float>();
    case DType::kFloat64:
      return f.template operator()<double>();
    case DType::kInt8:
      return f.template operator()<int8_t>();
    case DType::kUInt8:
      return f.template operator()<uint8_t>();
    case DType::kInt16:
      return f.template operator()<int16_t>();
    case DType::kUInt16:
      return f.template operator()<uint16_t>();
    case DType::kInt32:
      return f.template operator()<int32_t>();
    case DType::kUInt32:
      return f.template operator()<uint32_t>();
    case DType::kInt64:
      return f.template operator()<int64_t>();
    case DType::kUInt64:
      return f.template operator()<uint64_t>();
    case DType::kBool:
      return f.template operator()<bool>();
    default:
      throw UsageError(Cat("element type ", Name(t), " is not supported here"));
  }
}

}  // namespace mezzo
