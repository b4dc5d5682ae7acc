#include "mezzo/tensor/tensor.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

#include "mezzo/format/half.h"

namespace mezzo {
namespace {

std::atomic<size_t> live_bytes{0}, peak_bytes{0};

std::shared_ptr<void> Allocate(size_t bytes) {
  constexpr size_t kAlign = 64;
  const size_t padded =
      (bytes + kAlign - 1) / kAlign * kAlign + kAlign;  // vectors may read past the end
  void* p = std::aligned_alloc(kAlign, padded);
  if (!p) throw std::bad_alloc();
  const size_t now = live_bytes.fetch_add(padded) + padded;
  for (size_t peak = peak_bytes; now > peak && !peak_bytes.compare_exchange_weak(peak, now);) {
  }
  return {p, [padded](void* q) {
            std::free(q);
            live_bytes.fetch_sub(padded);
          }};
}

// Three planes, as an image's colours, to pixels.
template <class T>
void Interleave(const T* __restrict red, const T* __restrict green, const T* __restrict blue,
                T* __restrict y, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    y[3 * i] = red[i], y[3 * i + 1] = green[i], y[3 * i + 2] = blue[i];
}

// (outer, a, b, item bytes) -> (outer, b, a, item bytes)
template <class T>
void SwapInner(const T* x, T* y, int64_t outer, int64_t a, int64_t b) {
  for (int64_t o = 0; o < outer; ++o, x += a * b, y += a * b) {
    if (a == 3) {
      Interleave(x, x + b, x + 2 * b, y, b);
      continue;
    }
    constexpr int64_t kTile = 16;
    for (int64_t i0 = 0; i0 < a; i0 += kTile)
      for (int64_t j0 = 0; j0 < b; j0 += kTile)
        for (int64_t i = i0; i < std::min(a, i0 + kTile); ++i)
          for (int64_t j = j0; j < std::min(b, j0 + kTile); ++j) y[j * a + i] = x[i * b + j];
  }
}

void SwapInnerBytes(size_t item, const void* x, void* y, int64_t outer, int64_t a, int64_t b) {
  const auto swap = [&]<class T>(T) {
    SwapInner(static_cast<const T*>(x), static_cast<T*>(y), outer, a, b);
  };
  switch (item) {
    case 1:
      return swap(uint8_t{});
    case 2:
      return swap(uint16_t{});
    case 4:
      return swap(uint32_t{});
    default:
      return swap(uint64_t{});
  }
}

template <class To, class From>
To CastValue(From v) {
  if constexpr (std::is_same_v<To, bool>) {
    return v != From{};
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    if (std::isnan(v)) return 0;
    if (v <= static_cast<From>(std::numeric_limits<To>::min()))
      return std::numeric_limits<To>::min();
    if (v >= static_cast<From>(std::numeric_limits<To>::max()))
      return std::numeric_limits<To>::max();
    return static_cast<To>(v);
  } else {
    return static_cast<To>(v);
  }
}

Tensor WidenHalf(const Tensor& t) {
  Tensor out(DType::kFloat32, t.shape());
  const auto* x = static_cast<const uint16_t*>(t.raw());
  float* y = out.data<float>();
  const bool half = t.dtype() == DType::kFloat16;
  for (int64_t i = 0; i < t.numel(); ++i) y[i] = half ? HalfToFloat(x[i]) : BFloat16ToFloat(x[i]);
  return out;
}

Tensor NarrowToHalf(const Tensor& t, DType to) {
  Tensor out(to, t.shape());
  const float* x = t.data<float>();
  auto* y = static_cast<uint16_t*>(out.raw());
  for (int64_t i = 0; i < t.numel(); ++i)
    y[i] = to == DType::kFloat16 ? FloatToHalf(x[i]) : FloatToBFloat16(x[i]);
  return out;
}

bool IsHalf(DType t) { return t == DType::kFloat16 || t == DType::kBFloat16; }

}  // namespace

int64_t NumElements(const Shape& shape) {
  int64_t n = 1;
  for (const int64_t d : shape) {
    Require(d >= 0, "shape ", ToString(shape), " has a negative dimension");
    Require(!__builtin_mul_overflow(n, d, &n), "shape ", ToString(shape), " has too many elements");
  }
  return n;
}

std::ostream& operator<<(std::ostream& out, ShapeText text) {
  out << '[';
  for (size_t i = 0; i < text.shape.size(); ++i) out << (i ? "," : "") << text.shape[i];
  return out << ']';
}

ShapeText::operator std::string() const { return Cat(*this); }

Tensor::Tensor(DType dtype, Shape shape, Layout layout)
    : dtype_(dtype), layout_(layout), shape_(std::move(shape)), numel_(NumElements(shape_)) {
  Require(SizeOf(dtype) > 0 || IsPacked(dtype), "a tensor cannot hold ", Name(dtype));
  Require(numel_ <= std::numeric_limits<int64_t>::max() / 16, "shape ", ToString(shape_),
          " has too many elements");
  storage_ = Allocate(bytes());
  data_ = storage_.get();
}

Tensor::Tensor(DType dtype, Shape shape, std::shared_ptr<const void> owner, const void* data)
    : dtype_(dtype),
      shape_(std::move(shape)),
      numel_(NumElements(shape_)),
      storage_(std::const_pointer_cast<void>(std::move(owner))),
      data_(const_cast<void*>(data)) {}

Tensor Tensor::ForWeights(DType dtype, Shape shape) {
  Tensor t(dtype, std::move(shape));
  constexpr uintptr_t kPage = 1 << 12;
  const auto begin = (reinterpret_cast<uintptr_t>(t.raw()) + kPage - 1) / kPage * kPage;
  const auto end = reinterpret_cast<uintptr_t>(t.raw()) + t.bytes();
  // Before the first touch; a refusal costs speed only.
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
  std::memset(t.raw(), 0, t.bytes());
  return t;
}

Tensor Tensor::Zeros(DType dtype, Shape shape) {
  Tensor t(dtype, std::move(shape));
  std::memset(t.raw(), 0, t.bytes());
  return t;
}

Tensor Tensor::Reshape(Shape shape) const {
  Require(NumElements(shape) == numel_, "cannot reshape ", ToString(shape_), " to ",
          ToString(shape));
  if (shape == shape_) return *this;
  Tensor t = ToLayout(Layout::kPlain);
  t.shape_ = std::move(shape);
  return t;
}

Tensor Tensor::Clone() const {
  if (!defined()) return {};
  Tensor t(dtype_, shape_, layout_);
  if (bytes() > 0) std::memcpy(t.raw(), raw(), bytes());
  return t;
}

Tensor Tensor::ToLayout(Layout layout) const {
  if (layout == layout_ || rank() < 3) return *this;
  Tensor t(dtype_, shape_, layout);
  const int64_t channels = shape_[1];
  int64_t spatial = 1;
  for (size_t i = 2; i < rank(); ++i) spatial *= shape_[i];
  const bool to_last = layout == Layout::kChannelsLast;
  SwapInnerBytes(SizeOf(dtype_), raw(), t.raw(), shape_[0], to_last ? channels : spatial,
                 to_last ? spatial : channels);
  return t;
}

void Tensor::CheckType(DType want) const {
  Require(dtype_ == want, "tensor holds ", Name(dtype_), ", not ", Name(want));
}

Tensor Cast(const Tensor& t, DType to) {
  if (t.dtype() == to) return t;
  if (t.layout() != Layout::kPlain) return Cast(t.ToLayout(Layout::kPlain), to);
  if (IsPacked(t.dtype())) return Cast(Widen4(t), to);
  if (IsHalf(t.dtype())) return Cast(WidenHalf(t), to);
  if (IsHalf(to)) return NarrowToHalf(Cast(t, DType::kFloat32), to);
  Tensor out(to, t.shape());
  WithType(t.dtype(), [&]<class From>() {
    WithType(to, [&]<class To>() {
      const From* x = t.data<From>();
      To* y = out.data<To>();
      for (int64_t i = 0; i < t.numel(); ++i) y[i] = CastValue<To>(x[i]);
    });
  });
  return out;
}

Tensor Narrow4(const Tensor& bytes) {
  const bool is_signed = bytes.dtype() == DType::kInt8;
  Require(is_signed || bytes.dtype() == DType::kUInt8, "4-bit codes are made of bytes, not of ",
          Name(bytes.dtype()));
  Tensor out = Tensor::Zeros(is_signed ? DType::kInt4 : DType::kUInt4, bytes.shape());
  const auto* x = static_cast<const uint8_t*>(bytes.raw());
  auto* y = static_cast<uint8_t*>(out.raw());
  for (int64_t i = 0; i < bytes.numel(); ++i)
    y[i / 2] = static_cast<uint8_t>(y[i / 2] | (x[i] & 15) << i % 2 * 4);
  return out;
}

Tensor Widen4(const Tensor& t) {
  if (!IsPacked(t.dtype())) return t;
  const bool is_signed = t.dtype() == DType::kInt4;
  Tensor out(is_signed ? DType::kInt8 : DType::kUInt8, t.shape());
  const auto* x = static_cast<const uint8_t*>(t.raw());
  auto* y = static_cast<uint8_t*>(out.raw());
  for (int64_t i = 0; i < t.numel(); ++i) {
    const int code = x[i / 2] >> i % 2 * 4 & 15;
    y[i] = static_cast<uint8_t>(is_signed ? (code ^ 8) - 8 : code);
  }
  return out;
}

std::vector<int64_t> ToInts(const Tensor& t) {
  Require(t.dtype() == DType::kInt64 || t.dtype() == DType::kInt32, "expected integers, got ",
          Name(t.dtype()));
  const Tensor ints = Cast(t, DType::kInt64);
  return {ints.data<int64_t>(), ints.data<int64_t>() + ints.numel()};
}

TensorMemory GetTensorMemory() { return {live_bytes, peak_bytes}; }
void ResetTensorMemoryPeak() { peak_bytes = live_bytes.load(); }

}  // namespace mezzo
