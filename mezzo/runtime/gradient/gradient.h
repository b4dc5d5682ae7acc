// Reverse mode over the IR: what a change of each value does to a number made of the graph's
// outputs.
//
//   Gradient gradient(graph, {"conv1.weight", "relu_7"}, {});
//   const Tape tape = gradient.Forward(inputs);
//   gradient.Reverse(tape, {d_outputs}, [](const std::string& value, const Tensor& g) {...});
//
// Gradients follow float32 values only, and of an If the branch that ran, which is run again on the
// way back; values made inside of branches cannot be asked for. Memory: all values of a run, and of
// the gradients those that are still needed.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "mezzo/runtime/session.h"

namespace mezzo {

// The values of one run; `outputs` as Session::Run gives them.
struct Tape {
  std::vector<Tensor> values;  // by slot
  std::vector<Tensor> outputs;
};

class Gradient {
 public:
  // Keeps a reference to the graph. `wanted` are values whose gradients are asked for: graph
  // inputs, initializers, results of nodes. Throws UsageError naming a value that the graph lacks,
  // or a node between one of them and an output whose operator has no gradient.
  Gradient(const Graph& graph, const std::set<std::string>& wanted, Threads threads);
  ~Gradient();

  Tape Forward(const TensorMap& inputs) const;
  // A value as the run made it; throws UsageError if there is no such value.
  const Tensor& Value(const Tape& tape, const std::string& name) const;

  // Called once for each wanted value, with a tensor of its shape in any layout; not for one that
  // the outputs do not depend on. Initializers come as soon as their last reader is done.
  using Take = std::function<void(const std::string& value, const Tensor& gradient)>;

  // `outputs`: the gradient for each graph output; absent tensors stand for zeros.
  void Reverse(const Tape& tape, const std::vector<Tensor>& outputs, const Take& take) const;

 private:
  struct Program;
  std::unique_ptr<Program> program_;
};

// True if gradients pass through the operator.
bool HasGradient(const Node& node);

}  // namespace mezzo
