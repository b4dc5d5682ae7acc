// What an operator sees when it runs, and the table of all operators.
//
// An operator is a free function from an OpContext to its outputs. It reads inputs and attributes
// (opset 21-23 forms: upgrade.h has removed older ones), fills `out`, keeps nothing, except that it
// may keep prepared data (packed weights, JIT primitives) in `state`.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "mezzo/base/threads.h"
#include "mezzo/graph/graph.h"

namespace mezzo {

// Which of two bodies integer operators run: the plain loops that define them, or the fast kernels.
// Both give the same bits.
enum class KernelSet : uint8_t { kFast, kReference };

// Per node and session: whatever a kernel prepares once. Several threads may run the same node at
// once.
struct NodeState {
  std::mutex mutex;
  std::shared_ptr<void> value;

  // The T of this node, made by make() -> std::shared_ptr<T> at the first call.
  template <class T, class Make>
  T& Get(Make&& make) {
    std::lock_guard lock(mutex);
    if (!value) value = make();
    return *static_cast<T*>(value.get());
  }
};

struct OpContext {
  const Node& node;
  std::span<Tensor> in;  // one per node input; !in[i].defined() if absent. Moved from only by
                         // TakeInput
  std::span<const bool> constant;  // constant[i]: input i is the same tensor at every run
  std::vector<Tensor> out;  // one per node output, to be filled; unnamed ones may stay absent
  const Threads& threads;
  KernelSet kernels;
  NodeState& state;

  bool Has(size_t i) const { return i < in.size() && in[i].defined(); }

  // The input in plain layout, and required to be there: throws UsageError otherwise.
  const Tensor& Plain(size_t i);

  // An output tensor for an elementwise op on input i: the input's own storage if nobody else will
  // read it and it has the dtype, else a new tensor; same shape and layout.
  Tensor TakeOrMake(size_t i, DType dtype);

  // Control flow: runs the subgraph attribute with these inputs (and what it captures); its
  // outputs.
  std::vector<Tensor> RunSubgraph(const std::string& attribute, std::vector<Tensor> inputs);

  struct SubgraphRunner* subgraphs = nullptr;  // set by the session
};

struct SubgraphRunner {
  virtual ~SubgraphRunner() = default;
  virtual std::vector<Tensor> Run(const std::string& attribute, std::vector<Tensor> inputs) = 0;
};

using OpFn = void (*)(OpContext&);

struct OpEntry {
  OpFn run = nullptr;
  bool channels_last = false;  // takes inputs in any layout; others get every input in plain layout
  // Fills `state` before the first run from constant inputs: they alone are there. Does nothing
  // where it lacks one: `run` makes what is missing.
  OpFn prepare = nullptr;
};

// Operators by name; those of other domains than ONNX's as "domain:Name".
class OpTable {
 public:
  static const OpTable& Get();
  // Null if there is none.
  const OpEntry* Find(const std::string& domain, const std::string& op_type) const;

  void Add(const std::string& name, OpFn run, bool channels_last = false, OpFn prepare = nullptr) {
    entries_[name] = {run, channels_last, prepare};
  }
  const std::unordered_map<std::string, OpEntry>& entries() const { return entries_; }

 private:
  std::unordered_map<std::string, OpEntry> entries_;
};

}  // namespace mezzo
