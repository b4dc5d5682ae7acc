// What the integer operators share: reading codes and quantization parameters, window geometry, and
// output stages from node attributes.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "mezzo/base/cpu.h"
#include "mezzo/kernels/qconv/qconv.h"
#include "mezzo/kernels/qgemm/qgemm.h"
#include "mezzo/kernels/qgemm/quads.h"
#include "mezzo/runtime/op.h"

namespace mezzo {

// Throws UsageError unless the tensor is uint8 or int8.
QCodes CodesOf(const Tensor& t);

// The values of a zero point of type uint8, int8 or int32; empty if the tensor is absent.
std::vector<int32_t> ZeroPointsOf(const Tensor& t);
// The one value of a zero point; 0 if absent. Throws UsageError if there are several.
int32_t ZeroPointOf(const Tensor& t);

// The values of a scale of any float type.
std::vector<float> ScalesOf(const Tensor& t);

// Where x, a (N, C, L) or (N, C, H, W) tensor, is seen by the windows of a node with ONNX's
// attributes strides, dilations, pads, auto_pad and ceil_mode. out_c and groups are left to the
// caller.
struct WindowGeometry {
  QConvShape shape;
  size_t pad_bottom = 0, pad_right = 0;
  Shape OutShape(size_t rank) const;  // of the result, with shape.out_c channels
};
WindowGeometry GeometryOf(const Node& node, const Shape& x, std::vector<int64_t> kernel);
// The same of a convolution of x (N, C, ...) by w (O, C / group, ...), with out_c and groups.
WindowGeometry ConvGeometry(const Node& node, const Tensor& x, const Tensor& w);

// The output stage that a node of domain mezzo describes (lower.h lists the attributes) and the
// type of what it makes.
QOutput OutputOf(const Node& node, size_t cols, const Tensor* bias);
DType OutputType(const Node& node, const std::string& prefix = "");
DType TypeOf(QOutput::Kind kind);

// The output stage of ONNX's QLinearConv and QLinearMatMul: scale[n] = x_scale * w_scale[n] /
// y_scale.
QOutput QLinearOutput(float x_scale, std::span<const float> w_scale, float y_scale,
                      const Tensor& y_zero, std::span<const int32_t> bias, size_t cols);

// What a QAdd or QMul with these attributes does; `prefix` stands before the attributes' names.
QBinaryParams BinaryParamsOf(const Node& node, bool multiply, const std::string& prefix = "");
// That of a and b, of any shapes that broadcast, to codes of type `y`.
Tensor RunQBinary(OpContext& ctx, Tensor a, Tensor b, const QBinaryParams& params, DType y);

// Runs the kernel, or its plain twin, as the session asks.
void RunQConv(const OpContext& ctx, const QConvArgs& args, const QConvWeights& w,
              const QOutput& out);
// W: QWeights or QQuads.
template <class W>
void RunQGemm(const OpContext& ctx, const QGemmArgs& args, const W& w, const QOutput& out,
              const Threads& threads) {
  ctx.kernels == KernelSet::kReference ? QGemmRef(args, w, out) : QGemm(args, w, out, threads);
}

// f(b packed as it is fast to pack and to multiply with once): rows of b lie `row_stride` codes
// apart, their columns side by side.
template <class F>
void WithPackedOnce(QCodes b, size_t depth, size_t cols, size_t row_stride,
                    std::span<const int32_t> zeros, const F& f) {
  if (CurrentIsa() >= Isa::kAvx512Vnni)
    f(QQuads::Pack(b, depth, cols, row_stride, 1, zeros, depth));
  else
    f(QWeights::Pack(b, depth, cols, row_stride, 1, zeros));
}

void AddIntegerAttention(OpTable& table);
void AddIntegerConv(OpTable& table);
void AddIntegerMatMul(OpTable& table);
void AddIntegerElementwise(OpTable& table);
void AddIntegerPool(OpTable& table);

}  // namespace mezzo
