// Broadcasting as NumPy defines it, over tensors of any layout, reduced to loops over rows.
#pragma once

#include <array>

#include "mezzo/runtime/ops/op_util.h"

namespace mezzo {

// Throws UsageError if the shapes do not fit together.
Shape BroadcastShape(const Shape& a, const Shape& b);

// In elements and for the dimensions of `out` in its own order; 0 where `t` is repeated.
std::vector<int64_t> BroadcastStrides(const Tensor& t, const Shape& out);

// A plain tensor repeated to the broadcast of its shape and another; itself if it has that.
Tensor BroadcastWith(const Tensor& t, const Shape& other, const Threads& threads);

// The layout an elementwise result should have: that of the first input that has the whole shape.
Layout BroadcastLayout(std::span<const Tensor* const> inputs, const Shape& out);

// The dimension of a tensor that is the i-th in memory.
inline size_t DimInMemory(size_t i, size_t rank, Layout layout) {
  if (layout == Layout::kPlain || i == 0 || rank < 3) return i;
  return i + 1 == rank ? 1 : i + 1;
}

// Walks an output of a given shape and layout in memory order, with N inputs. Dimensions are merged
// where all inputs allow, so that tensors of the same shape are one row.
template <size_t N>
class BroadcastWalk {
 public:
  BroadcastWalk(const Shape& out, Layout layout, const std::array<const Tensor*, N>& inputs) {
    const size_t rank = out.size();
    std::array<std::vector<int64_t>, N> strides;
    for (size_t k = 0; k < N; ++k) strides[k] = BroadcastStrides(*inputs[k], out);
    for (size_t i = 0; i < rank; ++i) {
      const size_t d = DimInMemory(i, rank, layout);
      Dim dim{out[d], {}};
      for (size_t k = 0; k < N; ++k) dim.stride[k] = strides[k][d];
      Append(dim);
      total_ *= out[d];
    }
    if (dims_.empty()) dims_.push_back({1, {}});
  }

  // row(y, offsets, strides, n): n outputs from y on; input k starts at offsets[k] and advances by
  // strides[k]. Rows may be cut, and run on several threads.
  template <class Row>
  void Run(const Threads& threads, const Row& row) const {
    if (total_ == 0) return;
    threads.For(static_cast<size_t>(total_), kGrain, [&](size_t begin, size_t end) {
      const Dim& inner = dims_.back();
      for (int64_t y = begin; y < static_cast<int64_t>(end);) {
        int64_t rest = y / inner.size;
        const int64_t column = y % inner.size;
        std::array<int64_t, N> offset{};
        for (size_t k = 0; k < N; ++k) offset[k] = column * inner.stride[k];
        for (size_t d = dims_.size() - 1; d-- > 0; rest /= dims_[d].size)
          for (size_t k = 0; k < N; ++k) offset[k] += rest % dims_[d].size * dims_[d].stride[k];
        const int64_t n = std::min<int64_t>(inner.size - column, end - y);
        row(y, offset, inner.stride, n);
        y += n;
      }
    });
  }

 private:
  struct Dim {
    int64_t size;
    std::array<int64_t, N> stride;
  };

  void Append(const Dim& dim) {
    if (dim.size == 1) return;
    if (!dims_.empty()) {
      Dim& last = dims_.back();
      bool merges = true;
      for (size_t k = 0; k < N; ++k) merges &= last.stride[k] == dim.stride[k] * dim.size;
      if (merges) {
        last.size *= dim.size;
        last.stride = dim.stride;
        return;
      }
    }
    dims_.push_back(dim);
  }

  std::vector<Dim> dims_;
  int64_t total_ = 1;
};

// The output of an elementwise operator: the storage of one of the first `candidates` inputs if it
// has the very type, shape and layout and nobody else reads it, else a new tensor.
Tensor TakeOrMakeOutput(OpContext& ctx, size_t candidates, DType dtype, const Shape& shape,
                        Layout layout);

}  // namespace mezzo
