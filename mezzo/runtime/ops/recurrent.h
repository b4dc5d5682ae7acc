// What RNN, GRU and LSTM share: their inputs, directions, layouts and activations.
#pragma once

#include <memory>
#include <vector>

#include "mezzo/kernels/sgemm/sgemm.h"
#include "mezzo/runtime/op.h"

namespace mezzo {

struct RnnActivation {
  std::string name;
  float alpha = 0, beta = 0;

  // y = f(clamp(x, -clip, clip)), n numbers; clip 0 does not clamp. Throws UsageError for an
  // unknown name.
  void Apply(const float* x, float* y, int64_t n, float clip) const;
};

// The weights of one direction. `gates` parts of `hidden` rows each, in ONNX's order.
struct RnnWeights {
  PackedB input;                   // (input size, gates * hidden)
  std::vector<PackedB> recurrent;  // (hidden, gates * hidden); GRU: z and r, then h alone
};

struct RnnShape {
  int64_t steps, batch, input, hidden, gates, directions;
};

// Everything a cell needs for one direction.
struct RnnDirection {
  const RnnShape& shape;
  const RnnWeights& weights;
  const float* bias;      // (2 * gates * hidden): input's, then recurrent; never null
  const float* peephole;  // (3 * hidden) in the order i, o, f; or null
  const RnnActivation* activations;
  float clip;
  bool input_forget, linear_before_reset;
  const Threads& threads;
};

// One time step of a direction: `gates` holds x W^T plus the input's bias, (batch, gates * hidden),
// and may be written to. Reads hidden (and cell), writes the next ones.
using RnnStep = void (*)(const RnnDirection&, float* gates, const float* hidden, const float* cell,
                         float* next_hidden, float* next_cell);

void LstmStep(const RnnDirection& d, float* gates, const float* hidden, const float* cell,
              float* next_hidden, float* next_cell);
void GruStep(const RnnDirection& d, float* gates, const float* hidden, const float* cell,
             float* next_hidden, float* next_cell);
void RnnPlainStep(const RnnDirection& d, float* gates, const float* hidden, const float* cell,
                  float* next_hidden, float* next_cell);

}  // namespace mezzo
