// Integer convolution over channels-last tensors:
//
//   acc[b,i,j,n] = sum over (p, q, c) of (x[b, i*stride_h + p*dilation_h - pad_top,
//                                            j*stride_w + q*dilation_w - pad_left, c] - x_zero)
//                                        * w[n, c - first channel of n's group, p, q]
//
// where taps outside the image add nothing, followed by the output stage of qgemm.h with the output
// channel as the column, and by the addition of a residual (qelementwise.h) where there is one.
// One-dimensional convolutions have height 1.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "mezzo/base/aligned.h"
#include "mezzo/base/threads.h"
#include "mezzo/kernels/qelementwise/qelementwise.h"
#include "mezzo/kernels/qgemm/quads.h"

namespace mezzo {

struct QConvShape {
  size_t batch = 1;
  size_t in_h = 1, in_w = 1, in_c = 1;
  size_t out_h = 1, out_w = 1, out_c = 1;
  size_t kernel_h = 1, kernel_w = 1;
  size_t stride_h = 1, stride_w = 1;
  size_t dilation_h = 1, dilation_w = 1;
  size_t pad_top = 0, pad_left = 0;  // the other sides follow from out_h and out_w
  size_t groups = 1;                 // divides in_c and out_c

  size_t group_in() const { return in_c / groups; }
  size_t group_out() const { return out_c / groups; }
  bool depthwise() const { return groups > 1 && group_in() == 1 && group_out() == 1; }
  size_t taps() const { return kernel_h * kernel_w; }
  // Whether neighbouring taps of a kernel row, with a group's channels alone, lie side by side.
  bool dense_rows() const { return dilation_w == 1; }
};

// How many taps of one axis, from `origin` on, lie before `limit`. Counted from where padding
// begins, those before the padding's end are outside the image, and those before its far edge are
// not.
inline size_t TapsBefore(size_t limit, size_t origin, size_t kernel, size_t dilation) {
  return origin < limit ? std::min(DivideUp(limit - origin, dilation), kernel) : 0;
}

struct DepthwiseLines;  // qconv_depthwise.h

// Weights of a depthwise convolution: units of a few neighbouring taps of a kernel row (zeros where
// the row ends), four bytes for each channel of a block. For a window that slides: a unit for the
// first four taps of each kernel column, then those of the fifth row; a last block of at most half
// as many channels as fit holds them twice.
struct QDepthwiseWeights {
  const DepthwiseLines* lines = nullptr;  // whose order this is
  size_t channels = 0, kernel_h = 0, kernel_w = 0;
  bool slides = false;
  std::shared_ptr<uint8_t> w;  // (blocks, kernel_h, row_units, channels of a block, 4)
  std::vector<uint32_t> sums;  // of each channel's weights, modulo 2^32

  static QDepthwiseWeights Pack(QCodes w, const QConvShape& shape, std::span<const int32_t> zero);
  // The weights of channel n, (p, q).
  std::vector<int32_t> Filter(size_t n) const;

  size_t row_units() const;
  // Of a block.
  size_t bytes() const;
  // Whether the block of channel n holds its channels twice.
  bool in_halves(size_t n) const;
};

// Packed weights of a convolution: a QQuads a group with rows in the order (p, q, c), or those of a
// depthwise one.
class QConvWeights {
 public:
  QConvWeights() = default;

  // w holds (out_c, group_in, kernel_h, kernel_w) codes. `zero` has one value per output channel,
  // one for all, or none for 0. Of `shape` all but batch, sizes of images and padding is read.
  static QConvWeights Pack(QCodes w, const QConvShape& shape, std::span<const int32_t> zero = {});

  bool depthwise() const { return groups_.empty(); }
  const QQuads& group(size_t g) const { return groups_[g]; }
  const QDepthwiseWeights& channels() const { return channels_; }

  // The weights of output channel n, (p, q, c).
  std::vector<int32_t> Filter(size_t n) const;

 private:
  std::vector<QQuads> groups_;
  QDepthwiseWeights channels_;
  size_t group_out_ = 1;
};

struct QConvArgs {
  QConvShape shape;
  QCodes x;                             // (batch, in_h, in_w, in_c)
  int32_t x_zero = 0;                   // a code of x's type
  void* y = nullptr;                    // (batch, out_h, out_w, out_c)
  const QResidual* residual = nullptr;  // added to codes
};

// The addition of the residual to elements [begin, end) of y in place, where it is done apart.
QBinaryArgs ResidualOf(const QConvArgs& args, size_t begin, size_t end);

void QConv(const QConvArgs& args, const QConvWeights& w, const QOutput& out,
           const Threads& threads);
void QConvRef(const QConvArgs& args, const QConvWeights& w, const QOutput& out);

}  // namespace mezzo
