// What the gradient of an operator sees, and the table of all of them.
//
// A rule is handed what the operator read and made, and the gradient of what it made; it leaves the
// gradients of those inputs that are wanted in `result`, each with its input's shape, in any
// layout; absent ones are zeros. Most rules are made of the IR's own operators: RunOp.
#pragma once

#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "mezzo/runtime/op.h"

namespace mezzo {

struct GradientContext {
  const Node& node;
  std::span<const Tensor> in;      // as the operator read them, in any layout
  std::span<const Tensor> out;     // as it made them
  std::span<const Tensor> g;       // by output; absent if no gradient reaches it
  std::span<const char> wanted;    // by input
  std::span<const char> constant;  // by input: the same tensor at every run
  const Threads& threads;
  NodeState& state;            // kept between runs
  std::vector<Tensor> result;  // by input

  bool Wants(size_t i) const { return i < wanted.size() && wanted[i]; }
};

using GradientRule = void (*)(GradientContext&);

class GradientTable {
 public:
  static const GradientTable& Get();
  GradientRule Find(const Node& node) const;  // null if there is none
  void Add(const std::string& op, GradientRule rule) { rules_[op] = rule; }

 private:
  std::unordered_map<std::string, GradientRule> rules_;
};

// The families, a file each.
void AddElementwiseGradients(GradientTable& table);
void AddMovementGradients(GradientTable& table);
void AddProductGradients(GradientTable& table);
void AddConvGradients(GradientTable& table);
void AddPoolGradients(GradientTable& table);
void AddNormGradients(GradientTable& table);
void AddAttentionGradients(GradientTable& table);
void AddRecurrentGradients(GradientTable& table);

using Attributes = std::map<std::string, Attribute>;

// One operator on its own. `state` keeps what it prepares for the inputs that `constant` flags.
std::vector<Tensor> RunOp(const Node& node, std::vector<Tensor> in, const Threads& threads,
                          std::span<const char> constant = {}, NodeState* state = nullptr);
Tensor RunOp(const std::string& op, std::vector<Tensor> in, Attributes attributes,
             const Threads& threads);

// `t` summed over the dimensions that broadcasting `shape` to its shape repeated.
Tensor SumTo(const Tensor& t, const Shape& shape, const Threads& threads);

// In place: a += b, of the same shape in any layout.
void Accumulate(Tensor& a, const Tensor& b, const Threads& threads);

}  // namespace mezzo
