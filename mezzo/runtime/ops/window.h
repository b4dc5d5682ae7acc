// The geometry of operators that slide a window over (N, C, spatial...): convolutions and pools.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "mezzo/graph/graph.h"
#include "mezzo/tensor/tensor.h"

namespace mezzo {

// Always three spatial dimensions: those that a tensor lacks come first, with extent 1.
using Dims3 = std::array<int64_t, 3>;

struct Window {
  size_t spatial_rank = 2;  // of the tensors
  Dims3 in{1, 1, 1}, out{1, 1, 1};
  Dims3 kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1}, pad{0, 0, 0}, pad_end{0, 0, 0};

  int64_t in_size() const { return in[0] * in[1] * in[2]; }
  int64_t out_size() const { return out[0] * out[1] * out[2]; }
  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
};

// The window of `node` over an input of shape x. `kernel` holds the spatial dimensions of the
// weights, or of the attribute kernel_shape. Throws UsageError naming the node where they do not
// fit.
Window ReadWindow(const Node& node, const Shape& x, const std::vector<int64_t>& kernel);

// The same for ConvTranspose: `in` is what the operator reads, `out` the larger side it writes, and
// pad is what is cut from the output.
Window ReadTransposedWindow(const Node& node, const Shape& x, const std::vector<int64_t>& kernel);

// (n, c, the spatial part of `dims`).
Shape WindowShape(const Window& w, int64_t n, int64_t c, const Dims3& dims);

// Walks the output pixels from one on, in order, and says what each tap of the window reads there.
// After the last comes the first again, that of the next sample of a batch.
class TapWalk {
 public:
  // Offsets count pixels times `stride`. The window must outlive the walk.
  TapWalk(const Window& window, int64_t first, int64_t stride = 1);

  // Fills offsets[0, taps) for the present output pixel, -1 in the padding; then goes to the next,
  // after the last one to the first, that of the next sample.
  void Next(int64_t* offsets);

  // The same as pointers from x on; `zeros` in the padding.
  void Next(const float* x, const float* zeros, const float** pointers);

 private:
  bool Inside() const { return at_[2] >= inside_begin_ && at_[2] < inside_end_; }
  int64_t Base() const { return row_base_ + at_[2] * step_; }
  void EnterRow();
  void Step() {
    if (++at_[2] == w_.out[2]) NextRow();
  }
  void NextRow();
  template <class Put>
  void Edge(Put&& put) const;

  const Window& w_;
  int64_t stride_;
  Dims3 at_;
  std::vector<int64_t> inner_;  // tap offsets from the first tap, where all are inside
  // Of the present row of output pixels: those with all taps inside, and where their first tap is.
  int64_t inside_begin_ = 0, inside_end_ = 0, row_base_ = 0, step_ = 0;
};

}  // namespace mezzo
