// Products of activations with four-bit weights that have a scale for each row and group of
// columns (tensor/group_codes.h), straight from the packed codes.
//
//   integers:  dot[t,r,g] = sum over k in group g of code_x[t,k] * (value(code_w[r,k]) - zero[r,g])
//              y[t,r] = a chain of fused multiply-adds over g = 0, 1, ... that begins with 0:
//                       y = fma(float(dot[t,r,g]), scale_w[r,g] * scale_x[t,g], y)
//   floats:    y[t,r] = a chain of fused multiply-adds over k: y = fma(x[t,k], w[r,k], y), where w
//              is what GroupCodes::Dequantize gives
//
// The integer sums are exact, so results are the same bits on every instruction set, for any number
// of threads and whatever other tokens there are.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mezzo/base/threads.h"
#include "mezzo/kernels/sgemm/sgemm.h"
#include "mezzo/tensor/group_codes.h"
#include "mezzo/tensor/tensor.h"

namespace mezzo {

// Rows of int8 codes, -127..127, with a scale for each group of columns. They lie group after
// group, in a group token after token: a product of many tokens goes through a group at a time.
class GroupActivations {
 public:
  // x (tokens, depth), rows `x_stride` apart, rounded as mezzo.QuantizeRows does: per token and
  // `scale_group` columns (0: all) scale = max|x| / 127. `group`, which divides scale_group or is
  // divided by it, is the products' group.
  void Round(const float* x, int64_t x_stride, int64_t tokens, int64_t depth, int64_t scale_group,
             int64_t group, const Threads& threads);

  int64_t tokens() const { return tokens_; }
  int64_t depth() const { return depth_; }
  int64_t group() const { return group_; }
  int64_t groups() const { return groups_; }
  const int8_t* codes(int64_t token, int64_t g) const {
    return codes_ + (g * tokens_ + token) * group_;
  }
  // The scale, and the sum of the codes; of the next token behind them.
  const float* scale(int64_t token, int64_t g) const {
    return scales_.data() + g * tokens_ + token;
  }
  const int32_t* sum(int64_t token, int64_t g) const { return sums_.data() + g * tokens_ + token; }

 private:
  void RoundToken(const float* x, int64_t token, int64_t scale_group);

  int64_t tokens_ = 0, depth_ = 0, group_ = 1, groups_ = 0;
  Tensor storage_;
  int8_t* codes_ = nullptr;
  std::vector<float> scales_;
  std::vector<int32_t> sums_;
};

// Weights as the kernels read them: panels of 16 rows; in a panel, group after group; of a group,
// for each 8 columns 64 bytes of codes (row by row, the low halves columns 0..3, the high ones
// 4..7), then 16 bfloat16 scales, then, with zero points, 16 of these. A product reads one stretch
// of memory from end to end.
class PackedGroups {
 public:
  static constexpr int64_t kRows = 16;
  static constexpr int64_t kLargest = 32;  // of integer values, so that two products fit 16 bits

  PackedGroups() = default;
  // Codes with a group of their own or finer: `group` divides w.format.group; 0 is that itself.
  // Groups are multiples of 8. Throws UsageError if not.
  explicit PackedGroups(const GroupCodes& w, int64_t group = 0);
  // Whether the integer product has a form: integers up to kLargest, no rounding to FP8, groups of
  // up to 1024.
  static bool HasIntegers(const GroupFormat& format);

  int64_t rows() const { return rows_; }
  int64_t depth() const { return depth_; }
  int64_t group() const { return group_; }
  int64_t groups() const { return groups_; }
  int64_t panels() const { return (rows_ + kRows - 1) / kRows; }
  const GroupFormat& format() const { return format_; }
  float outer() const { return outer_; }

  // The codes of a group, 16-byte aligned, and from there on its scales and zero points.
  const uint8_t* Codes(int64_t panel, int64_t g) const {
    return packed_ + (panel * groups_ + g) * group_bytes_;
  }
  int64_t group_bytes() const { return group_bytes_; }
  int64_t scales_at() const { return group_ * 8; }
  int64_t zeros_at() const { return group_ * 8 + 32; }
  int64_t bytes() const { return static_cast<int64_t>(data_.bytes()); }

  // What plain code reads.
  int Code(int64_t row, int64_t column) const;
  float Scale(int64_t row, int64_t g) const;  // without `outer`
  int Zero(int64_t row, int64_t g) const;

 private:
  void PackGroup(const GroupCodes& w, int64_t row, int64_t g);

  GroupFormat format_;
  int64_t rows_ = 0, depth_ = 0, group_ = 8, groups_ = 0, group_bytes_ = 0;
  float outer_ = 1;
  Tensor data_;
  const uint8_t* packed_ = nullptr;
};

// One of the matrices that are multiplied with the same activations: y (tokens, w.rows()), rows
// `y_stride` apart. A bias begins the chain of the float form, as in Gemm, and is added to that of
// the integer form. With a recovery path (METHODS 5), what A made of the activations times B is
// then added to each panel, as Sgemm adds to an init, while it is in the cache.
struct GroupProduct {
  const PackedGroups* w;
  float* y;
  int64_t y_stride;
  const float* bias = nullptr;      // (w.rows())
  const PackedB* path_b = nullptr;  // (rank, w.rows())
  const float* path_x = nullptr;    // (tokens, rank), rows `path_stride` apart
  int64_t path_stride = 0;
};

// The integer form. Every w has integers, and the group and depth of x.
void GroupGemm(const GroupActivations& x, std::span<const GroupProduct> products,
               const Threads& threads);
// up.y = silu(gate) * up of two products of as many rows: what the gate gives stays in the cache,
// gate.y is not used. The bits of both products and vmath::SiluTimes.
void GroupGemmGated(const GroupActivations& x, const GroupProduct& gate, const GroupProduct& up,
                    const Threads& threads);
// Without bias and path.
void GroupGemmRef(const GroupActivations& x, const GroupProduct& product);

// The float form: x (tokens, depth), rows `x_stride` apart.
void GroupGemmFloat(const float* x, int64_t x_stride, int64_t tokens,
                    std::span<const GroupProduct> products, const Threads& threads);

}  // namespace mezzo
