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
      : a_(a), s_(a.shape), w_(w), lines_(*w.lines), out_(out) {
    // units are needed where a window or one of its units begins
    grid_ = std::gcd(s_.stride_w, lines_.taps * s_.dilation_w);
    height_ = (s_.kernel_h - 1) * s_.dilation_h + 1;
    from_afar_ = s_.batch * s_.in_h * s_.in_w * s_.in_c > Caches().l2;
    row_units_ = w.row_units();
    unit_step_ = lines_.taps * s_.dilation_w / grid_ * lines_.unit_bytes();
    // since padding holds the zero point, what it adds is the same for every pixel of a channel
    zero_ = a.x.Unsigned(a.x_zero);
    start_ = BeginSums(out, 0, w.channels, zero_, w.sums);
    start_.resize(RoundUp(w.channels, lines_.channels));
  }

  // Output rows that share what they read: blocks of channels lie side by side in memory, and come
  // one after another.
  size_t RowsThatFit() const {
    const size_t row = s_.stride_h * s_.in_w * s_.in_c + s_.out_w * s_.out_c * out_.ElementSize();
    return std::max<size_t>(Caches().l2 / 2 / row, 1);
  }

  // Rows [begin, end) of the output of image b.
  void Run(size_t b, size_t begin, size_t end) const {
    if (w_.slides) return Slide(b, begin, end);
    const size_t columns = ColumnsThatFit();
    for (size_t c = 0; c < s_.in_c; c += lines_.channels)
      for (size_t j = 0; j < s_.out_w; j += columns)
        RunPart(b, begin, end, c, j, std::min(columns, s_.out_w - j));
  }

 private:
  void Slide(size_t b, size_t begin, size_t end) const {
    const uint8_t flip = a_.x.is_signed ? 0x80 : 0;
    const size_t row_bytes = s_.in_w * s_.in_c;
    thread_local std::vector<uint8_t> outside;  // a row of the image
    outside.assign(row_bytes, static_cast<uint8_t>(zero_) ^ flip);
    QSlidingRow r{};
    r.y_step = s_.out_c * out_.ElementSize();
    r.pixel = s_.in_c, r.pixels = s_.in_w;
    r.first = -s_.pad_left, r.count = s_.out_w;
    r.flip = flip, r.zero = static_cast<uint8_t>(zero_);
    r.out = &out_;
    const auto place = [&](size_t n, size_t i) {
      for (size_t p = 0; p < s_.kernel_h; ++p) {
        const size_t h = i * s_.stride_h + p - s_.pad_top;  // has wrapped where it is negative
        r.x[n][p] = r.channel + (h < s_.in_h ? static_cast<const uint8_t*>(a_.x.data) +
                                                   (b * s_.in_h + h) * row_bytes
                                             : outside.data());
      }
      r.y[n] = static_cast<char*>(a_.y) + (b * s_.out_h + i) * s_.out_w * r.y_step +
               r.channel * out_.ElementSize();
    };
    for (r.channel = 0; r.channel < s_.in_c; r.channel += lines_.channels) {
      r.channels = std::min(lines_.channels, s_.in_c - r.channel);
      r.w = w_.w.get() + r.channel / lines_.channels * w_.bytes();
      r.start = start_.data() + r.channel;
      const size_t rows = w_.in_halves(r.channel) ? 2 : 1;
      for (size_t i = begin; i < end; i += rows) {
        place(0, i);
        if (rows == 2) place(1, std::min(i + 1, end - 1));
        lines_.slide(r, s_.kernel_h, s_.stride_w);
      }
    }
  }

  // Units of a row for so many output pixels.
  size_t Width(size_t columns) const {
    const size_t reach =
        (columns - 1) * s_.stride_w + (row_units_ - 1) * lines_.taps * s_.dilation_w;
    return reach / grid_ + 1;
  }

  // Output pixels of a row whose units, of as many rows as a window sees, fit the first-level cache
  // beside codes and weights; of nearly equal parts of a row.
  size_t ColumnsThatFit() const {
    const size_t pixel = height_ * lines_.unit_bytes() * s_.stride_w / grid_;
    const size_t fit = std::max<size_t>(Caches().l1 * 5 / 8 / pixel, 8);
    return DivideUp(s_.out_w, DivideUp(s_.out_w, fit));
  }

  // Columns [j, j + columns) of one block of channels. The units of as many rows as a window sees
  // are kept, each in the place of the one that is no longer seen.
  void RunPart(size_t b, size_t begin, size_t end, size_t c, size_t j, size_t columns) const {
    const size_t row_bytes = Width(columns) * lines_.unit_bytes(), element = out_.ElementSize();
    thread_local std::vector<uint8_t> buffer;
    uint8_t* units = AlignedScratch(buffer, height_ * row_bytes);
    std::vector<int32_t> offsets(s_.kernel_h * row_units_);
    size_t made = 0, place = 0;  // rows, counted from the first one that is seen; of the next one
    for (size_t i = begin; i < end; ++i) {
      const size_t top = (i - begin) * s_.stride_h, first = top % height_;
      if (made < top) made = top, place = first;
      for (; made < top + height_; ++made) {
        MakeUnits(b, begin * s_.stride_h + made - s_.pad_top, c, j, columns,
                  units + place * row_bytes);
        if (++place == height_) place = 0;
      }
      for (size_t p = 0, n = 0; p < s_.kernel_h; ++p) {
        size_t row = first + p * s_.dilation_h;
        if (row >= height_) row -= height_;
        for (size_t u = 0; u < row_units_; ++u, ++n)
          offsets[n] = static_cast<int32_t>(row * row_bytes + u * unit_step_);
      }
      char* y =
          static_cast<char*>(a_.y) + (((b * s_.out_h + i) * s_.out_w + j) * s_.out_c + c) * element;
      lines_.run({units, s_.stride_w / grid_ * lines_.unit_bytes(), columns, offsets.size(),
                  offsets.data(), w_.w.get() + c / lines_.channels * w_.bytes(), start_.data() + c,
                  &out_, c, std::min(lines_.channels, s_.in_c - c), y, s_.out_c * element});
    }
  }

  // `h` has wrapped where it is negative.
  void MakeUnits(size_t b, size_t h, size_t c, size_t j, size_t columns, uint8_t* to) const {
    const auto* x = static_cast<const uint8_t*>(a_.x.data);
    lines_.make({h < s_.in_h ? x + (b * s_.in_h + h) * s_.in_w * s_.in_c + c : nullptr, s_.in_c,
                 s_.in_w, std::min(lines_.channels, s_.in_c - c), a_.x.is_signed,
                 static_cast<uint8_t>(zero_), j * s_.stride_w - s_.pad_left, grid_, s_.dilation_w,
                 Width(columns), from_afar_, to});
  }

  const QConvArgs& a_;
  const QConvShape& s_;
  const QDepthwiseWeights& w_;
  const DepthwiseLines& lines_;
  const QOutput& out_;
  size_t grid_, height_;          // pixels between units; rows that a window sees
  size_t row_units_, unit_step_;  // of a kernel row; bytes from one of them to the next
  bool from_afar_;
  int32_t zero_;
  std::vector<int32_t> start_;
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
  const size_t wanted = threads.count() == 1 ? 1 : DivideUp(4 * threads.count(), s.batch);
  const size_t fit = DivideUp(s.out_h, std::min(kernel.RowsThatFit(), s.out_h));
  const size_t parts = std::min(std::max(fit, wanted), DivideUp(s.out_h, 2));
  const auto run = [&](size_t task, size_t) {
    const size_t part = task % parts;
    kernel.Run(task / parts, s.out_h * part / parts, s.out_h * (part + 1) / parts);
  };
  threads.Each(s.batch * parts, run);
}

}  // namespace mezzo
