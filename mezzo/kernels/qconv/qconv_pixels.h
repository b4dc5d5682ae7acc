// Where the codes lie that output pixels see: in the image, or in a padded copy of a block of it.
#pragma once

#include <vector>

#include "mezzo/kernels/qconv/qconv.h"

namespace mezzo {

// Channels [first, first + channels) of the images of a convolution.
class QPixels {
 public:
  // Copies where an output pixel sees padding, where codes are signed (copies are unsigned, signed
  // codes are moved up by 128), where the channels are some of the image's only, and where told to;
  // never if padding is not read.
  QPixels(const QConvArgs& args, size_t first, size_t channels, bool copy, bool reads_padding);

  bool copied() const { return copied_; }
  // The zero point of x as it is read.
  int32_t zero() const { return args_.x.Unsigned(args_.x_zero); }
  // From the first tap of a pixel to tap (p, q).
  int32_t Tap(size_t p, size_t q) const {
    return static_cast<int32_t>((p * shape_.dilation_h * width_ + q * shape_.dilation_w) *
                                channels_);
  }

  // Fills rows[0, count) with the first taps of output pixels [begin, begin + count), in the order
  // of the output. Copies go to `scratch`, with kSlack bytes behind them; copied pixels must be
  // whole rows of the output.
  void Place(size_t begin, size_t count, const uint8_t** rows, std::vector<uint8_t>& scratch) const;
  static constexpr size_t kSlack = 32;

 private:
  const uint8_t* At(size_t b, size_t h, size_t w) const;
  void InPlace(size_t begin, size_t count, const uint8_t** rows) const;
  size_t InputRows(size_t out_rows) const;
  void CopyRow(size_t b, size_t h, uint8_t* to) const;

  const QConvArgs& args_;
  const QConvShape& shape_;
  size_t first_, channels_;
  bool copied_;
  size_t width_;  // pixels of a row in memory
};

}  // namespace mezzo
