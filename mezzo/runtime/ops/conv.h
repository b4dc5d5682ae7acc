// Float convolution: y = bias + sum over taps and channels of x * w. Runs on channels-last data.
#pragma once

#include "mezzo/base/threads.h"
#include "mezzo/runtime/ops/window.h"
#include "mezzo/tensor/tensor.h"

namespace mezzo {

// Weights (M, C / groups, kernel...) in the form the loops below read. Immutable once made.
class PackedConv;

std::shared_ptr<const PackedConv> PackConv(const Tensor& weights, int64_t groups,
                                           const Threads& threads);

// x (N, C, in...) channels-last, bias of M or absent; the result (N, M, out...) is channels-last.
// Every element is one chain of fused multiply-adds, bias first, then taps, then channels: see
// sgemm.h for what follows from that.
Tensor RunConv(const Tensor& x, const PackedConv& weights, const Tensor& bias, const Window& window,
               const Threads& threads);

// The plain twin; any layout in, plain layout out, the same bits.
Tensor ConvRef(const Tensor& x, const Tensor& weights, const Tensor& bias, const Window& window,
               int64_t groups);

}  // namespace mezzo
