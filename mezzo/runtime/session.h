// Runs a graph, node by node. A session is made once per model and may be run by several threads at
// once.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "mezzo/base/threads.h"
#include "mezzo/graph/graph.h"
#include "mezzo/runtime/op.h"

namespace mezzo {

using TensorMap = std::map<std::string, Tensor>;

size_t BytesOf(const TensorMap& tensors);

// Called with each value that a node makes, in order of the nodes; may replace it (fake
// quantization).
using ValueHook = std::function<void(const Node& node, size_t output, Tensor& value)>;

struct SessionOptions {
  Threads threads;  // used inside operators
  KernelSet kernels = KernelSet::kFast;
};

class Session {
 public:
  // Keeps a reference to the graph. Throws UsageError naming the first node whose operator does not
  // exist.
  Session(const Graph& graph, SessionOptions options);
  ~Session();

  // All graph inputs must be there, with the graph's type and shape: throws UsageError naming the
  // input, what was got and what is needed; errors inside an operator name the node. Results in
  // plain layout, one per graph output.
  std::vector<Tensor> Run(const TensorMap& inputs, const ValueHook& hook = {}) const;

  // Nanoseconds that each node took in one run.
  std::vector<Tensor> Profile(const TensorMap& inputs, std::vector<int64_t>* node_ns) const;

 private:
  struct Program;
  std::unique_ptr<Program> program_;
};

// The most bytes that a run's tensors take at once, inputs excluded. Nothing else may run
// meanwhile. `outputs`, if given, gets the results.
size_t PeakOfRun(const Session& session, const TensorMap& inputs,
                 std::vector<Tensor>* outputs = nullptr);

// "Name (n times)" of each operator that has no implementation, subgraphs included.
std::vector<std::string> UnsupportedOperators(const Graph& graph);

}  // namespace mezzo
