// Weights that stay the same, packed for products of bytes: quads of four rows that meet four codes
// which lie side by side, as vpmaddubsw and vpdpbusd want them. Each quad carries the number of the
// codes that it meets.
//
// vpdpbusd adds four products u8 * s8 to 32 bits: for it quads come as they are, of up to 64
// columns at once. vpmaddubsw adds two in 16 bits and saturates: what makes it exact is told in
// quads_pairs.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "mezzo/kernels/qgemm/qgemm.h"

namespace mezzo {

struct QuadLines;  // quads_product.h

class QQuads {
 public:
  QQuads() = default;

  // w[k * row_stride + n * col_stride] - zero[n] for k < depth, n < cols. `zero` holds one value
  // per column or one for all; empty means 0. Codes of x lie side by side for each `run` rows:
  // `run` divides depth. The last quad of a run has zeros where it exceeds it. Packed for the
  // instruction set in use, whose lines compute the products from then on.
  static QQuads Pack(QCodes w, size_t depth, size_t cols, size_t row_stride, size_t col_stride,
                     std::span<const int32_t> zero, size_t run);

  // Columns side by side: as many as the lines take at once.
  struct Panel {
    size_t column, cols;    // the first one, and how many
    size_t vectors;         // of 16 columns, the last one filled up with zeros
    size_t pairs, singles;  // of quads: those that share sums come first
    size_t id, w;           // where its quads' ids and weights begin
    size_t quads() const { return 2 * pairs + singles; }
  };

  const QuadLines& lines() const { return *lines_; }
  size_t depth() const { return depth_; }
  size_t cols() const { return cols_; }
  size_t run() const { return run_; }
  size_t quads_per_run() const { return (run_ + 3) / 4; }
  const std::vector<Panel>& panels() const { return panels_; }

  // Quad by quad, panel after panel: the 4 weights of column 0, of column 1, ..., 16 * vectors of
  // them.
  const int8_t* weights(const Panel& panel) const { return weights_.get() + panel.w; }
  size_t bytes(const Panel& panel) const { return 4 * kQPanel * panel.vectors * panel.quads(); }
  // The codes that each quad meets: run id / quads_per_run(), four codes from
  // 4 * (id % quads_per_run()) on.
  const uint32_t* ids(const Panel& panel) const { return ids_.data() + panel.id; }

  // The sum of each column's weights, modulo 2^32; padded with zeros to whole vectors.
  const std::vector<uint32_t>& sums() const { return sums_; }

  // The weights of a column, for the plain twins.
  std::vector<int32_t> Column(size_t n) const;

 private:
  template <class Code>
  void Fill(const Code* w, size_t row_stride, size_t col_stride, std::span<const int32_t> zero);

  const QuadLines* lines_ = nullptr;
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
