// Integer matrix product with its output stage:
//
//   acc[m,n] = sum_k (x[m,k] - x_zero) * w[k,n]                 int32, modulo 2^32
//   v[m,n]   = float(acc[m,n] + bias[n]) * scale[n] + offset[n]   single precision, in this order
//   y[m,n]   = clamp(round_half_even(v[m,n]), lo - y_zero, hi - y_zero) + y_zero    (codes)
//            | v[m,n]                                                               (float)
//            | acc[m,n] + bias[n]                                                   (int32)
//
// The addition of `offset` is left out where an output stage has none. With
// scale[n] = x_scale * w_scale[n] / y_scale this is ONNX Runtime's rule for QLinearMatMul. No step
// saturates but the last: results are the same on every instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "mezzo/base/threads.h"

namespace mezzo {

// Columns that share a panel of packed weights.
inline constexpr size_t kQPanel = 16;

// Eight-bit codes of either sign.
struct QCodes {
  const void* data = nullptr;
  bool is_signed = false;
  int32_t operator[](size_t i) const {
    return is_signed ? static_cast<const int8_t*>(data)[i] : static_cast<const uint8_t*>(data)[i];
  }
  // Of a code of this type, where kernels move signed ones up by 128.
  int32_t Unsigned(int32_t code) const { return code + (is_signed ? 128 : 0); }
};

// Weights w (k, n) in panels of 16 columns, pairs of rows side by side: what the kernels read.
// Symmetric signed codes take a byte each; others are stored less their zero point, in two.
class QWeights {
 public:
  QWeights() = default;

  // w[k * row_stride + n * col_stride] - zero[n] for k < depth, n < cols. `zero` holds one value
  // per column or one for all; empty means 0.
  static QWeights Pack(QCodes w, size_t depth, size_t cols, size_t row_stride, size_t col_stride,
                       std::span<const int32_t> zero = {});

  size_t depth() const { return depth_; }
  size_t cols() const { return cols_; }
  bool wide() const { return wide_; }
  size_t pairs() const { return (depth_ + 1) / 2; }
  size_t panels() const { return (cols_ + kQPanel - 1) / kQPanel; }
  size_t bytes() const { return panels() * PanelBytes(); }

  // The value at (k, n), for the plain twins.
  int32_t At(size_t k, size_t n) const;
  const void* Panel(size_t panel) const { return data_.get() + panel * PanelBytes(); }

 private:
  size_t PanelBytes() const { return pairs() * 2 * kQPanel * (wide_ ? 2 : 1); }

  size_t depth_ = 0, cols_ = 0;
  bool wide_ = false;
  std::shared_ptr<uint8_t> data_;  // 64-byte aligned
};

// The output stage. Made by MakeQOutput, which pads the columns to whole panels.
struct QOutput {
  enum class Kind : uint8_t { kUInt8, kInt8, kFloat, kInt32 };
  Kind kind = Kind::kInt32;
  int32_t zero_point = 0, lo = 0, hi = 0;  // codes: lo <= y <= hi
  bool has_offset = false;
  // uint8 without offsets, and so small scales that no sum is scaled beyond 32 bits: values need
  // not be cut off before they are rounded and packed with saturation.
  bool bounded = false;
  std::vector<int32_t> bias;
  std::vector<float> scale, offset;

  // Bounded codes that are the rounded values themselves, cut off.
  bool IsRelu() const { return bounded && zero_point == 0 && lo == 0 && hi == 255; }
  size_t ElementSize() const { return kind == Kind::kFloat || kind == Kind::kInt32 ? 4 : 1; }
};

// Arguments of an output stage for `cols` columns. `scale` has one value or one per column, `bias`
// and `offset` none or one per column. Throws UsageError on other sizes, on scales or offsets that
// are not finite, and on lo > hi.
struct QOutputSpec {
  QOutput::Kind kind = QOutput::Kind::kInt32;
  std::span<const float> scale = {};
  std::span<const int32_t> bias = {};
  std::span<const float> offset = {};
  int32_t zero_point = 0;
  int32_t lo = INT32_MIN, hi = INT32_MAX;  // narrowed to the codes that the type has
};
QOutput MakeQOutput(const QOutputSpec& spec, size_t cols);

// What sums of codes, not less their zero point, begin with: the biases of columns channel.. of
// `out`, less `zero` times the sums of these columns' weights. Zeros fill the last panel.
std::vector<int32_t> BeginSums(const QOutput& out, size_t channel, size_t cols, int32_t zero,
                               std::span<const uint32_t> weight_sums);

struct QGemmArgs {
  QCodes x;  // (rows, depth), rows `x_stride` codes apart
  size_t rows = 0, x_stride = 0;
  int32_t x_zero = 0;  // a code of x's type
  void* y = nullptr;   // (rows, cols), rows `y_stride` elements apart
  size_t y_stride = 0;
};

void QGemm(const QGemmArgs& args, const QWeights& w, const QOutput& out, const Threads& threads);
void QGemmRef(const QGemmArgs& args, const QWeights& w, const QOutput& out);

// The output stage of one accumulator in column n, written to element i of y: the specification
// that all integer kernels share.
void StoreQOutputRef(const QOutput& out, size_t n, int32_t acc, void* y, size_t i);

}  // namespace mezzo
