#include "mezzo/runtime/ops/window.h"

#include <algorithm>

namespace mezzo {
namespace {

// The attribute's values at the end of three, the rest `fill`.
Dims3 ReadDims(const Node& node, const char* name, size_t rank, int64_t fill) {
  Dims3 dims{fill, fill, fill};
  const std::vector<int64_t> values = node.Ints(name);
  Require(values.empty() || values.size() == rank, node.op_type, " ", node.name, ": ", name,
          " has ", values.size(), " values, needs ", rank);
  std::copy(values.begin(), values.end(), dims.end() - values.size());
  return dims;
}

void ReadPads(const Node& node, size_t rank, Window& w) {
  const std::vector<int64_t> pads = node.Ints("pads");
  Require(pads.empty() || pads.size() == 2 * rank, node.op_type, " ", node.name, ": pads has ",
          pads.size(), " values, needs ", 2 * rank);
  for (size_t i = 0; i < pads.size() / 2; ++i) {
    w.pad[3 - rank + i] = pads[i];
    w.pad_end[3 - rank + i] = pads[rank + i];
  }
}

Window ReadCommon(const Node& node, const Shape& x, const std::vector<int64_t>& kernel) {
  Require(x.size() >= 3 && x.size() <= 5, node.op_type, " ", node.name, ": the input's shape is ",
          ToString(x), ", needs one to three spatial dimensions");
  Window w;
  w.spatial_rank = x.size() - 2;
  Require(kernel.size() == w.spatial_rank, node.op_type, " ", node.name, ": a kernel of ",
          kernel.size(), " dimensions over an input ", ToString(x));
  std::copy(x.begin() + 2, x.end(), w.in.end() - w.spatial_rank);
  std::copy(kernel.begin(), kernel.end(), w.kernel.end() - w.spatial_rank);
  w.stride = ReadDims(node, "strides", w.spatial_rank, 1);
  w.dilation = ReadDims(node, "dilations", w.spatial_rank, 1);
  for (int i = 0; i < 3; ++i)
    Require(w.kernel[i] > 0 && w.stride[i] > 0 && w.dilation[i] > 0, node.op_type, " ", node.name,
            ": kernel, strides and dilations must be positive");
  return w;
}

int64_t Extent(const Window& w, int i) { return (w.kernel[i] - 1) * w.dilation[i] + 1; }

// Splits the padding in two; the odd one goes to the end for SAME_UPPER.
void SplitPad(Window& w, int i, int64_t total, bool upper) {
  w.pad[i] = upper ? total / 2 : total - total / 2;
  w.pad_end[i] = total - w.pad[i];
}

int64_t OutputExtent(const Window& w, int i, bool ceil_mode) {
  const int64_t span = w.in[i] + w.pad[i] + w.pad_end[i] - Extent(w, i);
  if (span < 0) return 0;
  int64_t out = span / w.stride[i] + 1;
  // A last partial window counts only if it begins inside the input or the padding before it.
  if (ceil_mode && span % w.stride[i] != 0 && out * w.stride[i] < w.in[i] + w.pad[i]) ++out;
  return out;
}

}  // namespace

Window ReadWindow(const Node& node, const Shape& x, const std::vector<int64_t>& kernel) {
  Window w = ReadCommon(node, x, kernel);
  const std::string auto_pad = node.String("auto_pad", "NOTSET");
  const bool ceil_mode = node.Int("ceil_mode", 0) != 0;
  if (auto_pad == "NOTSET" || auto_pad.empty()) {
    ReadPads(node, w.spatial_rank, w);
  } else if (auto_pad != "VALID") {
    Require(auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER", node.op_type, " ", node.name,
            ": auto_pad is \"", auto_pad, "\"");
    for (int i = 3 - static_cast<int>(w.spatial_rank); i < 3; ++i) {
      const int64_t out = (w.in[i] + w.stride[i] - 1) / w.stride[i];
      const int64_t total = (out - 1) * w.stride[i] + Extent(w, i) - w.in[i];
      SplitPad(w, i, std::max<int64_t>(total, 0), auto_pad == "SAME_UPPER");
    }
  }
  for (int i = 0; i < 3; ++i) {
    w.out[i] = OutputExtent(w, i, ceil_mode && auto_pad.substr(0, 4) != "SAME");
    Require(w.out[i] > 0 || w.in[i] == 0, node.op_type, " ", node.name, ": a window of ",
            Extent(w, i), " does not fit an input ", ToString(x), " with its padding");
  }
  return w;
}

Window ReadTransposedWindow(const Node& node, const Shape& x, const std::vector<int64_t>& kernel) {
  Window w = ReadCommon(node, x, kernel);
  const std::string auto_pad = node.String("auto_pad", "NOTSET");
  const Dims3 more = ReadDims(node, "output_padding", w.spatial_rank, 0);
  std::vector<int64_t> shape = node.Ints("output_shape");
  if (shape.size() == w.spatial_rank + 2) shape.erase(shape.begin(), shape.begin() + 2);
  Require(shape.empty() || shape.size() == w.spatial_rank, node.op_type, " ", node.name,
          ": output_shape has ", shape.size(), " values, needs ", w.spatial_rank);
  if (auto_pad == "NOTSET") ReadPads(node, w.spatial_rank, w);
  const int first = 3 - static_cast<int>(w.spatial_rank);
  for (int i = first; i < 3; ++i) {
    const int64_t full = w.stride[i] * (w.in[i] - 1) + more[i] + Extent(w, i);
    if (!shape.empty() || auto_pad.substr(0, 4) == "SAME") {
      w.out[i] = shape.empty() ? w.in[i] * w.stride[i] : shape[i - first];
      // An output larger than full is not cut: the rest is bias alone.
      SplitPad(w, i, std::max<int64_t>(full - w.out[i], 0), auto_pad == "SAME_UPPER");
    } else {
      w.out[i] = full - w.pad[i] - w.pad_end[i];
    }
    Require(w.out[i] > 0, node.op_type, " ", node.name, ": the output would have extent ",
            w.out[i]);
  }
  return w;
}

Shape WindowShape(const Window& w, int64_t n, int64_t c, const Dims3& dims) {
  Shape shape{n, c};
  shape.insert(shape.end(), dims.end() - w.spatial_rank, dims.end());
  return shape;
}

TapWalk::TapWalk(const Window& window, int64_t first, int64_t stride)
    : w_(window),
      stride_(stride),
      at_{first / (w_.out[1] * w_.out[2]), first / w_.out[2] % w_.out[1], first % w_.out[2]} {
  for (int64_t d = 0; d < w_.kernel[0]; ++d)
    for (int64_t h = 0; h < w_.kernel[1]; ++h)
      for (int64_t c = 0; c < w_.kernel[2]; ++c)
        inner_.push_back(
            ((d * w_.dilation[0] * w_.in[1] + h * w_.dilation[1]) * w_.in[2] + c * w_.dilation[2]) *
            stride_);
  EnterRow();
}

void TapWalk::Next(int64_t* offsets) {
  if (Inside())
    for (const int64_t tap : inner_) *offsets++ = Base() + tap;
  else
    Edge([&](int64_t offset) { *offsets++ = offset; });
  Step();
}

void TapWalk::Next(const float* x, const float* zeros, const float** pointers) {
  if (Inside()) {
    x += Base();
    for (const int64_t tap : inner_) *pointers++ = x + tap;
  } else {
    Edge([&](int64_t offset) { *pointers++ = offset < 0 ? zeros : x + offset; });
  }
  Step();
}

void TapWalk::EnterRow() {
  const int64_t d = at_[0] * w_.stride[0] - w_.pad[0], h = at_[1] * w_.stride[1] - w_.pad[1];
  const int64_t room = w_.in[2] + w_.pad[2] - Extent(w_, 2);
  const bool rows_inside = d >= 0 && d + Extent(w_, 0) <= w_.in[0] && h >= 0 &&
                           h + Extent(w_, 1) <= w_.in[1] && room >= 0;
  inside_begin_ = (std::max<int64_t>(w_.pad[2], 0) + w_.stride[2] - 1) / w_.stride[2];
  inside_end_ = rows_inside ? room / w_.stride[2] + 1 : 0;
  row_base_ = ((d * w_.in[1] + h) * w_.in[2] - w_.pad[2]) * stride_;
  step_ = w_.stride[2] * stride_;
}

void TapWalk::NextRow() {
  at_[2] = 0;
  if (++at_[1] == w_.out[1]) {
    at_[1] = 0;
    if (++at_[0] == w_.out[0]) at_[0] = 0;
  }
  EnterRow();
}

template <class Put>
void TapWalk::Edge(Put&& put) const {
  Dims3 start;
  for (int i = 0; i < 3; ++i) start[i] = at_[i] * w_.stride[i] - w_.pad[i];
  for (int64_t kd = 0; kd < w_.kernel[0]; ++kd) {
    const int64_t d = start[0] + kd * w_.dilation[0];
    for (int64_t kh = 0; kh < w_.kernel[1]; ++kh) {
      const int64_t h = start[1] + kh * w_.dilation[1];
      const bool row = d >= 0 && d < w_.in[0] && h >= 0 && h < w_.in[1];
      for (int64_t kw = 0; kw < w_.kernel[2]; ++kw) {
        const int64_t c = start[2] + kw * w_.dilation[2];
        const bool inside = row && c >= 0 && c < w_.in[2];
        put(inside ? ((d * w_.in[1] + h) * w_.in[2] + c) * stride_ : -1);
      }
    }
  }
}

}  // namespace mezzo
