// A dense array of numbers with a shape. Copies share their storage, as do the views that reshape,
// so a tensor that others may hold must not be written to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "mezzo/tensor/dtype.h"

namespace mezzo {

using Shape = std::vector<int64_t>;

// The product of the dimensions; 1 for a scalar. Throws UsageError on a negative dimension or on
// overflow.
int64_t NumElements(const Shape& shape);

// Prints as "[1,3,224,224]". Text is made only where it is asked for: arguments of a Require that
// holds cost nothing.
struct ShapeText {
  const Shape& shape;
  operator std::string() const;
};
std::ostream& operator<<(std::ostream& out, ShapeText text);
inline ShapeText ToString(const Shape& shape) { return {shape}; }

// How the elements of a (N, C, spatial...) tensor lie in memory. `shape` never changes with it.
enum class Layout : uint8_t {
  kPlain,         // row-major in the order of the shape
  kChannelsLast,  // row-major in the order N, spatial..., C (rank 3 and up)
};

class Tensor {
 public:
  Tensor() = default;  // absent: dtype kNone

  // Uninitialized, 64-byte aligned. Throws UsageError if the type cannot be held.
  Tensor(DType dtype, Shape shape, Layout layout = Layout::kPlain);

  // A view of memory that `owner` keeps alive.
  Tensor(DType dtype, Shape shape, std::shared_ptr<const void> owner, const void* data);

  template <class T>
  static Tensor Of(const std::vector<T>& values, Shape shape) {
    Tensor t(DTypeOf<T>::value, std::move(shape));
    Require(static_cast<size_t>(t.numel()) == values.size(), "tensor: ", values.size(),
            " values do not fill the shape ", ToString(t.shape()));
    for (size_t i = 0; i < values.size(); ++i) t.data<T>()[i] = values[i];
    return t;
  }
  template <class T>
  static Tensor Vector(const std::vector<T>& values) {
    return Of(values, {static_cast<int64_t>(values.size())});
  }
  template <class T>
  static Tensor Scalar(T value) {
    Tensor t(DTypeOf<T>::value, {});
    *t.data<T>() = value;
    return t;
  }
  static Tensor Zeros(DType dtype, Shape shape);
  // Zeros in the largest pages that the system gives: for what is read again and again, end to end.
  static Tensor ForWeights(DType dtype, Shape shape);

  bool defined() const { return dtype_ != DType::kNone; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  Layout layout() const { return layout_; }
  size_t rank() const { return shape_.size(); }
  int64_t dim(size_t i) const { return shape_[i]; }
  int64_t numel() const { return numel_; }
  size_t bytes() const { return StorageBytes(dtype_, static_cast<size_t>(numel_)); }

  // Checked access: throws UsageError if T is not the element type.
  template <class T>
  T* data() {
    CheckType(DTypeOf<T>::value);
    return static_cast<T*>(data_);
  }
  template <class T>
  const T* data() const {
    CheckType(DTypeOf<T>::value);
    return static_cast<const T*>(data_);
  }
  template <class T>
  std::span<T> span() {
    return {data<T>(), static_cast<size_t>(numel_)};
  }
  template <class T>
  std::span<const T> span() const {
    return {data<T>(), static_cast<size_t>(numel_)};
  }
  void* raw() { return data_; }
  const void* raw() const { return data_; }

  // The same elements under another shape of the same size; needs the plain layout unless the shape
  // is unchanged.
  Tensor Reshape(Shape shape) const;

  // True if no other tensor shares the storage, so that an op may write over it.
  bool unique() const { return storage_.use_count() == 1; }

  Tensor Clone() const;
  // This tensor with the elements in the given order; itself if it already has them so.
  Tensor ToLayout(Layout layout) const;

 private:
  void CheckType(DType want) const;

  DType dtype_ = DType::kNone;
  Layout layout_ = Layout::kPlain;
  Shape shape_;
  int64_t numel_ = 0;
  std::shared_ptr<void> storage_;
  void* data_ = nullptr;
};

// The elements as another type; real to integer truncates as ONNX Cast does (saturating, NaN to 0),
// real to bool is x != 0; no result has 4 bits. float16 and bfloat16 are converted here and nowhere
// else.
Tensor Cast(const Tensor& t, DType to);

// uint8 codes of 0 to 15 as uint4, int8 ones of -8 to 7 as int4 (the upper bits are dropped); and
// back, other tensors as they are.
Tensor Narrow4(const Tensor& bytes);
Tensor Widen4(const Tensor& t);

// The values of an integer tensor (int32 or int64), for shapes, axes and the like.
std::vector<int64_t> ToInts(const Tensor& t);

// Live and peak bytes of all tensors that own their storage, process-wide.
struct TensorMemory {
  size_t live, peak;
};
TensorMemory GetTensorMemory();
void ResetTensorMemoryPeak();

}  // namespace mezzo
