#include "mezzo/kernels/qconv/qconv_depthwise.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "mezzo/base/aligned.h"
#include "mezzo/base/cpu.h"

namespace mezzo {
namespace {

// Multiply-adds below which waking another thread costs more than it saves.
constexpr size_t kSerialWork = 1 << 17;

class Depthwise {
 public:
  Depthwise(const QConvArgs& a, const QDepthwiseWeights& w, const QOutput& out)
      : a_(a), s_(a.shape), w_(w), out_(out) {
    // pairs are needed where a window or one of its units begins
    grid_ = std::gcd(s_.stride_w, 2 * s_.dilation_w);
    const size_t reach = (s_.out_w - 1) * s_.stride_w + (w.row_units() - 1) * 2 * s_.dilation_w;
    width_ = reach / grid_ + 1;
    for (size_t p = 0; p < s_.kernel_h; ++p)
      for (size_t u = 0; u < w.row_units(); ++u)
        offsets_.push_back(static_cast<int32_t>(
            32 * (p * s_.dilation_h * width_ + 2 * u * s_.dilation_w / grid_)));
    // since padding holds the zero point, what it adds is the same for every pixel of a channel
    zero_ = a.x.Unsigned(a.x_zero);
    start_ = BeginSums(out, 0, w.channels, zero_, w.sums);
  }

  // Output rows that share what they read: a block's codes and pairs fit the second-level cache.
  size_t RowsThatFit() const {
    const size_t row =
        s_.stride_h * (s_.in_w * s_.in_c + width_ * 64) + s_.out_w * s_.out_c * out_.ElementSize();
    return std::max<size_t>(Caches().l2 / 2 / row, 1);
  }

  // Rows [begin, end) of the output of image b.
  void Run(size_t b, size_t begin, size_t end) const {
    thread_local std::vector<int16_t> buffer;
    const size_t height = (end - begin - 1) * s_.stride_h + (s_.kernel_h - 1) * s_.dilation_h + 1;
    int16_t* pairs = AlignedScratch(buffer, height * width_ * 32);
    for (size_t c = 0; c < s_.in_c; c += kQPanel) {
      const size_t channels = std::min(kQPanel, s_.in_c - c);
      for (size_t h = 0; h < height; ++h)
        MakePairs(b, begin * s_.stride_h + h - s_.pad_top, c, channels, pairs + h * width_ * 32);
      for (size_t i = begin; i < end; ++i)
        RunDepthwiseRowAvx2(
            {pairs + (i - begin) * s_.stride_h * width_ * 32, s_.stride_w / grid_ * 32, s_.out_w,
             w_.units(), offsets_.data(), w_.Block(c / kQPanel), start_.data() + c, &out_, c,
             channels,
             static_cast<char*>(a_.y) +
                 ((b * s_.out_h + i) * s_.out_w * s_.out_c + c) * out_.ElementSize(),
             s_.out_c * out_.ElementSize()});
    }
  }

 private:
  // `h` has wrapped where it is negative.
  void MakePairs(size_t b, size_t h, size_t c, size_t channels, int16_t* to) const {
    const auto* x = static_cast<const uint8_t*>(a_.x.data);
    MakePairsAvx2({h < s_.in_h ? x + (b * s_.in_h + h) * s_.in_w * s_.in_c + c : nullptr, s_.in_c,
                   s_.in_w, channels, a_.x.is_signed, static_cast<uint8_t>(zero_),
                   size_t{0} - s_.pad_left, grid_, s_.dilation_w, width_, to});
  }

  const QConvArgs& a_;
  const QConvShape& s_;
  const QDepthwiseWeights& w_;
  const QOutput& out_;
  size_t grid_, width_;  // pixels between pairs; pairs of a row
  int32_t zero_;
  std::vector<int32_t> offsets_, start_;
};

}  // namespace

void QConvDepthwise(const QConvArgs& a, const QConvWeights& w, const QOutput& out,
                    const Threads& all) {
  const QConvShape& s = a.shape;
  const size_t work = s.batch * s.out_h * s.out_w * s.out_c * s.taps();
  const Threads threads = work < kSerialWork ? Threads() : all;
  const Depthwise kernel(a, w.channels(), out);
  // parts of an image: several for each thread, so that one whose core is busy with something else
  // takes fewer
  const size_t fit = DivideUp(s.out_h, std::min(kernel.RowsThatFit(), s.out_h));
  const size_t wanted = threads.count() == 1 ? 1 : DivideUp(4 * threads.count(), s.batch);
  const size_t parts = std::min(std::max(fit, wanted), DivideUp(s.out_h, 2));
  const auto run = [&](size_t task, size_t) {
    const size_t part = task % parts;
    kernel.Run(task / parts, s.out_h * part / parts, s.out_h * (part + 1) / parts);
  };
  threads.Each(s.batch * parts, run);
}

}  // namespace mezzo
