#include "mezzo/runtime/ops/coded_softmax.h"

#include <optional>

#include "mezzo/base/aligned.h"
#include "mezzo/runtime/ops/broadcast.h"
#include "mezzo/runtime/ops/integer.h"
#include "mezzo/runtime/ops/strided_copy.h"

namespace mezzo {
namespace {

constexpr size_t kRows = 8;  // that go through all steps together

}  // namespace

std::vector<vmath::Step> StepsOf(const Node& node) {
  const std::vector<int64_t> kinds = node.Ints("kinds"), a = node.Ints("a"), b = node.Ints("b");
  const std::vector<float> constants = node.Floats("constants");
  std::vector<vmath::Step> steps;
  for (size_t i = 0; i < kinds.size(); ++i)
    steps.push_back({static_cast<vmath::Step::Kind>(kinds[i]), static_cast<uint8_t>(a[i]),
                     static_cast<uint8_t>(b[i]), constants[i]});
  return steps;
}

QScale GridOf(const Node& node) {
  return {node.Float("y_scale", 1), static_cast<int32_t>(node.Int("y_zero_point", 0)),
          OutputType(node) == DType::kInt8};
}

CodedSoftmax::CodedSoftmax(const Node& node, const Tensor& mask, const Shape& scores)
    : shape_(scores), steps_(StepsOf(node)), grid_(GridOf(node)), mask_(mask) {
  if (!mask_.defined()) return;
  Require(mask_.dtype() == DType::kFloat32, "the mask is ", Name(mask_.dtype()), ", needs float32");
  mask_ = BroadcastWith(mask_, {shape_.back()}, Threads());  // rows of it are read as they are
  mask_strides_ = BroadcastStrides(mask_, shape_);
}

void CodedSoftmax::Run(const float* x, size_t first, size_t rows, uint8_t* y) const {
  const auto n = static_cast<size_t>(shape_.back());
  thread_local std::vector<float> buffer;
  float* const probabilities = AlignedScratch(buffer, kRows * n);
  const float* masks[kRows];
  std::optional<RowWalk> mask_row;
  if (mask_.defined()) mask_row.emplace(shape_, mask_strides_, first);
  const float* mask = mask_row ? mask_.data<float>() : nullptr;
  for (size_t begin = 0; begin < rows; begin += kRows) {
    const size_t count = std::min(kRows, rows - begin);
    for (size_t r = 0; mask_row && r < count; ++r, mask_row->Next())
      masks[r] = mask + mask_row->offset();
    vmath::SoftmaxRows(x + begin * n, probabilities, count, n,
                       {steps_.empty() ? nullptr : steps_.data(), mask_row ? masks : nullptr});
    Quantize(probabilities, grid_, y + begin * n, count * n);
  }
}

}  // namespace mezzo
