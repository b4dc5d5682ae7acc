#include "mezzo/runtime/ops/run_function.h"

#include <algorithm>

#include "mezzo/base/aligned.h"
#include "mezzo/runtime/ops/broadcast.h"

namespace mezzo {
namespace {

using vmath::Step;

Shape ShapeOf(const std::vector<FunctionInput>& inputs) {
  Shape shape;
  for (const FunctionInput& i : inputs) shape = BroadcastShape(shape, i.t.shape());
  return shape;
}

Tensor Floats(const FunctionInput& input) {
  if (!input.codes) return input.t;
  Tensor floats(DType::kFloat32, input.t.shape(), input.t.layout());
  Dequantize(static_cast<const uint8_t*>(input.t.raw()), *input.codes, floats.data<float>(),
             static_cast<size_t>(input.t.numel()));
  return floats;
}

// Does steps whose operands are smaller than the result, and makes inputs of what they give.
class SmallSteps {
 public:
  SmallSteps(std::vector<Step>& steps, std::vector<FunctionInput>& inputs, const Threads& threads)
      : inputs_(inputs), total_(NumElements(ShapeOf(inputs))), threads_(threads) {
    for (const Step& s : steps) Take(s);
    std::vector<FunctionInput> used;
    std::vector<uint8_t> place(inputs_.size(), Step::kConstant);
    const auto keep = [&](uint8_t& operand) {
      if (operand < Step::kInput || operand == Step::kConstant) return;
      uint8_t& now = place[operand - Step::kInput];
      if (now == Step::kConstant) {
        now = static_cast<uint8_t>(used.empty() ? 0 : Step::kInput + used.size());
        used.push_back(inputs_[operand - Step::kInput]);
      }
      operand = now;
    };
    for (Step& s : left_) {
      keep(s.a);
      if (!s.IsUnary()) keep(s.b);
    }
    if (used.size() > vmath::kMaxInputs) return;
    steps = std::move(left_), inputs = std::move(used);
  }

 private:
  void Take(Step s) {
    s.a = Placed(s.a);
    s.b = s.IsUnary() ? uint8_t{0} : Placed(s.b);
    std::vector<FunctionInput> own;
    Step alone = s;
    const auto take = [&](uint8_t& operand) {
      if (operand == Step::kConstant) return true;
      if (operand < Step::kInput) return false;  // a larger step's result
      own.push_back(inputs_[operand - Step::kInput]);
      operand = static_cast<uint8_t>(own.size() == 1 ? 0 : Step::kInput + 1);
      return true;
    };
    const bool small =
        take(alone.a) && (s.IsUnary() || take(alone.b)) && NumElements(ShapeOf(own)) < total_;
    if (small) {
      for (FunctionInput& i : own) i.constant = true;
      inputs_.push_back({RunFunction({alone}, std::move(own), nullptr, threads_)});
      places_.push_back(static_cast<uint8_t>(Step::kInput + inputs_.size() - 1));
    } else {
      left_.push_back(s);
      places_.push_back(static_cast<uint8_t>(left_.size()));
    }
  }
  // Here all inputs, the first one too, are kInput + i.
  uint8_t Placed(uint8_t operand) const {
    return operand == 0 ? Step::kInput : operand < Step::kInput ? places_[operand - 1] : operand;
  }

  std::vector<FunctionInput> inputs_;  // and results of small steps
  int64_t total_;
  const Threads& threads_;
  std::vector<Step> left_;
  std::vector<uint8_t> places_;  // of steps: an input, or the number of one that is left
};

// An input of a function. `period` elements of it serve all of the result, or all of an image (an
// index of the first dimension); 0: it has an element for each of the result's.
struct Operand {
  const void* data = nullptr;
  size_t period = 0;
  bool per_image = false;
  std::optional<QScale> codes;
};

// Sizes of a shape's dimensions and strides of a tensor that broadcasts to it, as the layout has
// them in memory.
struct Dim {
  int64_t size, stride;
};
std::vector<Dim> DimsInMemory(const Tensor& t, const Shape& out, Layout layout) {
  const std::vector<int64_t> strides = BroadcastStrides(t, out);
  std::vector<Dim> dims;
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t d = DimInMemory(i, out.size(), layout);
    dims.push_back({out[d], strides[d]});
  }
  return dims;
}

class Blocks {
 public:
  Blocks(const std::vector<Step>& steps, std::vector<FunctionInput> inputs, const Threads& threads)
      : steps_(steps), inputs_(std::move(inputs)), shape_(ShapeOf(inputs_)), threads_(threads) {
    std::vector<const Tensor*> tensors;
    for (const FunctionInput& i : inputs_) tensors.push_back(&i.t);
    layout_ = BroadcastLayout(tensors, shape_);
    for (FunctionInput& i : inputs_) {
      operands_.push_back(OperandOf(i));
      row_ = std::max(row_, operands_.back().period);
    }
    for (size_t i = 0; i < inputs_.size(); ++i)
      if (operands_[i].period > 1 && operands_[i].period != row_) operands_[i] = Whole(inputs_[i]);
  }

  Tensor Run(const QScale* grid) {
    grid_ = grid;
    Tensor y = grid ? Tensor(grid->is_signed ? DType::kInt8 : DType::kUInt8, shape_, layout_)
                    : FloatsToWrite();
    const int64_t total = NumElements(shape_);
    if (total == 0) return y;
    const size_t rows = static_cast<size_t>(total) / row_;
    image_ = rows / static_cast<size_t>(shape_.empty() ? 1 : shape_[0]);
    threads_.For(rows, 1 + kGrain / row_,
                 [&](size_t begin, size_t end) { RunRows(begin, end, y); });
    return y;
  }

 private:
  static constexpr size_t kBlock = 1024;

  // An input's own memory if nobody else reads it: blocks are read before they are written.
  Tensor FloatsToWrite() const {
    for (const FunctionInput& i : inputs_)
      if (!i.codes && !i.constant && i.t.shape() == shape_ && i.t.unique()) return i.t;
    return Tensor(DType::kFloat32, shape_, layout_);
  }

  Operand OperandOf(FunctionInput& input) {
    Operand made;
    if (input.t.shape() == shape_) {
      input.t = input.t.ToLayout(layout_);
      made.data = std::as_const(input.t).raw();
      made.codes = input.codes;
      return made;
    }
    input.t = Floats(input).ToLayout(Layout::kPlain);
    input.codes.reset();
    const std::vector<Dim> dims = DimsInMemory(input.t, shape_, layout_);
    size_t first = dims.size();  // of those that it has
    int64_t period = 1;
    for (; first > 0 && (dims[first - 1].stride == period || dims[first - 1].size == 1); --first)
      period *= dims[first - 1].size;
    made.per_image = first > 1 && dims[0].stride == period && dims[0].size > 1;
    for (size_t d = made.per_image ? 1 : 0; d < first; ++d)
      if (dims[d].stride != 0 && dims[d].size > 1) return Whole(input);
    made.data = std::as_const(input.t).raw();
    made.period = static_cast<size_t>(period);
    return made;
  }
  Operand Whole(FunctionInput& input) const {
    input.t = BroadcastWith(input.t, shape_, threads_).ToLayout(layout_);
    return {std::as_const(input.t).raw()};
  }

  // Rows [begin, end) of the result, some whole ones at once or parts of one.
  void RunRows(size_t begin, size_t end, Tensor& y) const {
    thread_local std::vector<float> buffer;
    float* const scratch = AlignedScratch(buffer, (operands_.size() + 1) * kBlock);
    const size_t at_once = std::max<size_t>(1, kBlock / row_);
    const bool by_image = std::any_of(operands_.begin(), operands_.end(),
                                      [](const Operand& o) { return o.per_image; });
    size_t repeated = SIZE_MAX;  // the image whose rows have been
    for (size_t r = begin; r < end;) {
      const size_t image = by_image ? r / image_ : 0;
      const size_t rows = std::min({at_once, end - r, by_image ? (image + 1) * image_ - r : end});
      if (image != repeated) Repeat(repeated = image, at_once, scratch);
      for (size_t i = 0; i < rows * row_; i += kBlock)
        RunBlock(r * row_ + i, std::min(kBlock, rows * row_ - i), i, image, scratch, y);
      r += rows;
    }
  }

  // What serves many rows, as often as it is needed at once.
  void Repeat(size_t image, size_t at_once, float* scratch) const {
    for (size_t k = 0; k < operands_.size(); ++k) {
      const Operand& o = operands_[k];
      if (o.period == 0 || o.period > kBlock) continue;
      const float* from = static_cast<const float*>(o.data) + (o.per_image ? image * o.period : 0);
      const size_t times = o.period == 1 ? kBlock : at_once;
      for (size_t i = 0; i < times; ++i)
        std::copy_n(from, o.period, scratch + k * kBlock + i * o.period);
    }
  }

  // Elements [at, at + n) of the result; `in_row`: where they begin in a long row.
  void RunBlock(size_t at, size_t n, size_t in_row, size_t image, float* scratch, Tensor& y) const {
    const float* inputs[vmath::kMaxInputs];
    for (size_t k = 0; k < operands_.size(); ++k) {
      const Operand& o = operands_[k];
      float* const own = scratch + k * kBlock;
      inputs[k] = own;
      if (o.codes)
        Dequantize(static_cast<const uint8_t*>(o.data) + at, *o.codes, own, n);
      else if (o.period == 0)
        inputs[k] = static_cast<const float*>(o.data) + at;
      else if (o.period > kBlock)
        inputs[k] = static_cast<const float*>(o.data) + in_row + (o.per_image ? image * row_ : 0);
    }
    float* const made = grid_ ? scratch + operands_.size() * kBlock : y.data<float>() + at;
    vmath::RunSteps(steps_, {inputs, operands_.size()}, made, n);
    if (grid_) Quantize(made, *grid_, static_cast<uint8_t*>(y.raw()) + at, n);
  }

  const std::vector<Step>& steps_;
  std::vector<FunctionInput> inputs_;
  Shape shape_;
  const Threads& threads_;
  Layout layout_;
  std::vector<Operand> operands_;
  size_t row_ = 1, image_ = 0;  // elements of a row; rows of an image
  const QScale* grid_ = nullptr;
};

}  // namespace

Tensor RunFunction(std::vector<Step> steps, std::vector<FunctionInput> inputs, const QScale* grid,
                   const Threads& threads) {
  Require(!inputs.empty() && inputs.size() <= vmath::kMaxInputs, "got ", inputs.size(), " inputs");
  const Shape& shape = inputs[0].t.shape();
  const bool alike = std::all_of(inputs.begin(), inputs.end(),
                                 [&](const FunctionInput& i) { return i.t.shape() == shape; });
  if (!alike && steps.size() > 1) SmallSteps(steps, inputs, threads);
  return Blocks(steps, std::move(inputs), threads).Run(grid);
}

}  // namespace mezzo
