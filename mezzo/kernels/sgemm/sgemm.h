// C (M, N) = init + A (M, K) * B (K, N), float32.
//
// Each element of C is one chain of fused multiply-adds over k = 0, 1, ..., K-1 that begins with
// its init. Nothing else enters its value, so it does not depend on the number of threads, on the
// other rows of a batch or on the vector width, and SgemmRef gives the same bits. oneDNN promises
// none of that for its gemm, whose kernels follow the number of rows and threads. Speed on one AVX2
// core: within 5% of oneDNN's for K of 256 and more, three quarters of it where K is 16 to 40;
// twice that in vectors of 512 bits (Zen 5).
//
// A row of A is given as `taps` pointers to segments of `depth` numbers (K = taps * depth): a
// matrix product has one segment a row; a convolution over channels-last data has one for each tap
// of its window, which makes it a product without ever building the window matrix.
#pragma once

#include <cstdint>

#include "mezzo/base/threads.h"
#include "mezzo/tensor/tensor.h"

namespace mezzo {

// B in panels of 16 columns, each (K, 16) row-major, the last padded with zeros.
class PackedB {
 public:
  static constexpr int64_t kWidth = 16;

  PackedB() = default;
  // B[i][j] = b[i * row_stride + j * column_stride]; row_stride 1 packs a transposed matrix.
  PackedB(const float* b, int64_t k, int64_t n, int64_t row_stride, int64_t column_stride,
          const Threads& threads);
  // A view of panels, 32-byte aligned and `panel_stride` numbers apart, that outlive it.
  static PackedB View(const float* panels, int64_t k, int64_t n, int64_t panel_stride);

  int64_t k() const { return k_; }
  int64_t n() const { return n_; }
  int64_t panels() const { return (n_ + kWidth - 1) / kWidth; }
  int64_t panel_stride() const { return panel_stride_; }
  const float* panel(int64_t p) const { return panels_ + p * panel_stride_; }

 private:
  int64_t k_ = 0, n_ = 0, panel_stride_ = 0;
  const float* panels_ = nullptr;
  Tensor data_;  // of none if a view
};

// Rows of A, for some consecutive rows of C.
struct GemmRows {
  const float* const* segments;  // [row * taps + tap]
  int64_t taps, depth;
};

struct GemmInit {
  const float* values = nullptr;  // null: zeros
  int64_t row_stride = 0;         // 0: the same N numbers for every row, a bias
};

// Rows [0, m) and the columns of panels [panel_begin, panel_end) of C, on the calling thread. C and
// init point to the first of these rows, column 0. Requires a.taps * a.depth == b.k().
void SgemmBlock(const GemmRows& a, int64_t m, const PackedB& b, int64_t panel_begin,
                int64_t panel_end, float* c, int64_t c_stride, GemmInit init) noexcept;

// All of C, from dense rows of A.
void Sgemm(const float* a, int64_t a_stride, int64_t m, const PackedB& b, float* c,
           int64_t c_stride, GemmInit init, const Threads& threads);

// The plain twin, with B as it was before packing.
void SgemmRef(const float* a, int64_t a_stride, int64_t m, int64_t n, int64_t k, const float* b,
              int64_t row_stride, int64_t column_stride, float* c, int64_t c_stride, GemmInit init);

// How many rows a thread should take at a time, and how many panels, so that `threads` have work.
struct GemmCut {
  int64_t rows, panels;
};
GemmCut CutGemm(int64_t m, int64_t panels, int64_t repeats, size_t threads);

}  // namespace mezzo
