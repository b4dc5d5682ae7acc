// Products of activations with int8 weights that have a scale for each row (tensor/row_codes.h):
//
//   y[t,r] = scale_w[r] * s, s a chain of fused multiply-adds over groups g of 64 columns that
//            begins with 0: s = fma(float(dot[t,r,g]), scale_x[t,g], s)
//   dot[t,r,g] = sum over k in group g of code_x[t,k] * code_w[r,k], exact in int32
//
// Activations are int16 codes, -32767..32767, with a scale for each token and group: half a step is
// a 65534th of the group's largest. For a head, whose weights are read once a token. Results are
// the same bits on every instruction set, for any number of threads and whatever other tokens there
// are.
#pragma once

#include <cstdint>
#include <vector>

#include "mezzo/base/threads.h"
#include "mezzo/tensor/row_codes.h"

namespace mezzo {

// Panels of 16 rows; in a panel, for each pair of columns, 16 pairs of codes. Columns are padded
// with zeros to whole groups.
class PackedRows {
 public:
  static constexpr int64_t kRows = 16, kGroup = 64;

  PackedRows() = default;
  explicit PackedRows(const RowCodes& w, const Threads& threads = {});

  int64_t rows() const { return rows_; }
  int64_t depth() const { return depth_; }
  int64_t groups() const { return groups_; }
  int64_t panels() const { return (rows_ + kRows - 1) / kRows; }
  int64_t bytes() const { return static_cast<int64_t>(data_.bytes()); }
  const int8_t* Panel(int64_t p) const { return codes_ + p * groups_ * kGroup * kRows; }
  const float* scales() const { return scales_.data(); }  // padded to whole panels

  int8_t Code(int64_t row, int64_t column) const {
    return Panel(row / kRows)[column / 2 * 2 * kRows + row % kRows * 2 + column % 2];
  }
  // to[c] = scale * code, c < depth().
  void Row(int64_t row, float* to) const;

 private:
  int64_t rows_ = 0, depth_ = 0, groups_ = 0;
  Tensor data_;
  const int8_t* codes_ = nullptr;
  std::vector<float> scales_;
};

// x (tokens, depth), rows `x_stride` apart; y (tokens, rows), `y_stride` apart.
void RowGemm(const float* x, int64_t x_stride, int64_t tokens, const PackedRows& w, float* y,
             int64_t y_stride, const Threads& threads);
void RowGemmRef(const float* x, int64_t x_stride, int64_t tokens, const PackedRows& w, float* y,
                int64_t y_stride);

}  // namespace mezzo
