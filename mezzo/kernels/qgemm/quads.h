// Weights that stay the same, packed for products of bytes: quads of four rows that meet four codes
// which lie side by side, as vpmaddubsw and vpdpbusd want them.
//
// vpmaddubsw adds two products u8 * s8 in 16 bits and saturates. It is exact as long as in each of
// the two halves of a quad the positive weights of a column sum up to at most 128 and the negative
// ones to at least -128, since 255 * 128 < 2^15; and two quads whose sums together stay in these
// bounds may be added in 16 bits before they are widened, which saves a quarter of the work.
// Packing therefore
//   - splits a quad that exceeds the bounds into several that add up to it, and
//   - looks for pairs of quads that can share a 16-bit sum.
// The order of the quads of a panel is free, because each carries the number of the codes that it
// meets. So products are exact for all weights, and faster than saturating ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "mezzo/kernels/qgemm/qgemm.h"

namespace mezzo {

class QQuads {
 public:
  QQuads() = default;

  // w[k * row_stride + n * col_stride] - zero[n] for k < depth, n < cols. `zero` holds one value
  // per column or one for all; empty means 0. Codes of x lie side by side for each `run` rows:
  // `run` divides depth. The last quad of a run has zeros where it exceeds it.
  static QQuads Pack(QCodes w, size_t depth, size_t cols, size_t row_stride, size_t col_stride,
                     std::span<const int32_t> zero, size_t run);

  struct Panel {
    size_t begin;           // its first quad
    size_t pairs, singles;  // 2 * pairs + singles quads: those that share sums come first
    size_t quads() const { return 2 * pairs + singles; }
  };

  size_t depth() const { return depth_; }
  size_t cols() const { return cols_; }
  size_t run() const { return run_; }
  size_t quads_per_run() const { return (run_ + 3) / 4; }
  const std::vector<Panel>& panels() const { return panels_; }  // kQPanel columns each

  // Quad q of all panels: the 4 weights of column 0, of column 1, ..., 16 of them; and the codes it
  // meets: run ids(q) / quads_per_run(), four codes from 4 * (ids(q) % quads_per_run()) on.
  const int8_t* weights(size_t q) const { return weights_.get() + 64 * q; }
  const uint32_t* ids(size_t q) const { return ids_.data() + q; }

  // The sum of each column's weights, modulo 2^32; padded with zeros to whole panels.
  const std::vector<uint32_t>& sums() const { return sums_; }

  // The weights of a column, for the plain twins.
  std::vector<int32_t> Column(size_t n) const;

 private:
  template <class Code>
  void Fill(const Code* w, size_t row_stride, size_t col_stride, std::span<const int32_t> zero);

  size_t depth_ = 0, cols_ = 0, run_ = 0;
  std::vector<Panel> panels_;
  std::shared_ptr<int8_t> weights_;  // 64-byte aligned
  std::vector<uint32_t> ids_, sums_;
};

// x (rows, depth) * w through the output stage, as QGemm with weights that vary; w.run() must be
// w.depth().
void QGemm(const QGemmArgs& args, const QQuads& w, const QOutput& out, const Threads& threads);
void QGemmRef(const QGemmArgs& args, const QQuads& w, const QOutput& out);

}  // namespace mezzo
