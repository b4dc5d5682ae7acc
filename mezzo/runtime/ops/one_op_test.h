// For tests: one operator with its inputs, run through a session.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "mezzo/runtime/session.h"

namespace mezzo {

struct OneOp {
  Graph graph;
  TensorMap inputs;

  explicit OneOp(const std::string& op, std::map<std::string, Attribute> attributes = {},
                 size_t outputs = 1) {
    Node node;
    node.op_type = node.name = op;
    node.attributes = std::move(attributes);
    for (size_t i = 0; i < outputs; ++i) {
      node.outputs.push_back(Cat("y", i));
      graph.outputs.push_back({node.outputs.back()});
    }
    graph.nodes = {node};
  }

  // The next input; an undefined tensor is an absent one.
  OneOp& In(const Tensor& t, bool constant = false) {
    const std::string name = t.defined() ? Cat("x", graph.nodes[0].inputs.size()) : "";
    graph.nodes[0].inputs.push_back(name);
    if (!t.defined()) return *this;
    if (constant) {
      graph.initializers[name] = t;
    } else {
      graph.inputs.push_back({name, t.dtype(), t.shape(), {}, true});
      inputs[name] = t;
    }
    return *this;
  }

  // Runs twice: the second time from what the first has kept.
  std::vector<Tensor> Run(size_t threads = 1, KernelSet kernels = KernelSet::kFast) const {
    const Session session(graph, {Threads(threads), kernels});
    session.Run(inputs);
    return session.Run(inputs);
  }
};

// Numbers around zero, exact in the tests' oracles: (7 i mod 11 - 5) * step.
inline Tensor TestRamp(Shape shape, float step = 0.1f) {
  Tensor t(DType::kFloat32, std::move(shape));
  for (int64_t i = 0; i < t.numel(); ++i)
    t.data<float>()[i] = step * static_cast<float>(i * 7 % 11 - 5);
  return t;
}

inline bool SameBits(const Tensor& a, const Tensor& b) {
  const Tensor x = a.ToLayout(Layout::kPlain), y = b.ToLayout(Layout::kPlain);
  return x.dtype() == y.dtype() && x.shape() == y.shape() &&
         std::memcmp(x.raw(), y.raw(), x.bytes()) == 0;
}

// Each value within 1e-6 + 1e-5 |want|: some roundings of numbers around 1, in either program.
inline void ExpectClose(const Tensor& got, const Shape& shape, const std::vector<float>& want) {
  ASSERT_EQ(got.shape(), shape);
  const Tensor plain = got.ToLayout(Layout::kPlain);
  ASSERT_EQ(static_cast<size_t>(got.numel()), want.size());
  for (size_t i = 0; i < want.size(); ++i)
    EXPECT_NEAR(plain.data<float>()[i], want[i], 1e-6f + 1e-5f * std::abs(want[i])) << i;
}

}  // namespace mezzo
