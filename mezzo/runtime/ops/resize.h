#pragma once

#include <vector>

#include "mezzo/runtime/op.h"

namespace mezzo {

// How one axis is resized: output i is the sum over j < taps of weights[i * taps + j] times the
// input at index[i * taps + j], or the extrapolation value where `outside`.
struct ResizeAxis {
  int64_t in = 0, out = 0, taps = 1;
  std::vector<int64_t> index;
  std::vector<float> weights;  // empty: a plain copy of one tap (nearest)
  std::vector<char> outside;   // empty: none
};

struct ResizeOptions {
  std::string mode, coordinates, nearest_mode;
  float cubic_a = -0.75f;
  bool antialias = false, exclude_outside = false;
};

// scale = out / in, but for sizes that were rounded; roi is used by tf_crop_and_resize only.
ResizeAxis MakeResizeAxis(const ResizeOptions& options, int64_t in, int64_t out, double scale,
                          double roi_begin, double roi_end);

// grid_sample.cc
void GridSample(OpContext& ctx);
void AffineGrid(OpContext& ctx);

}  // namespace mezzo
