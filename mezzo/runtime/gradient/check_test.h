// For tests: gradients of graphs against differences.
#pragma once

#include <gtest/gtest.h>

#include <random>

#include "mezzo/runtime/gradient/gradient.h"
#include "mezzo/runtime/ops/one_op_test.h"

namespace mezzo {

inline Tensor Random(Shape shape, unsigned seed, float low = -1, float high = 1) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> draw(low, high);
  Tensor t(DType::kFloat32, std::move(shape));
  for (float& v : t.span<float>()) v = draw(random);
  return t;
}

// sum over outputs of <output, direction>
inline double Along(const std::vector<Tensor>& outputs, const std::vector<Tensor>& directions) {
  double sum = 0;
  for (size_t o = 0; o < outputs.size(); ++o) {
    if (!directions[o].defined()) continue;
    const Tensor y = outputs[o].ToLayout(Layout::kPlain);
    for (int64_t i = 0; i < y.numel(); ++i)
      sum += static_cast<double>(y.data<float>()[i]) * directions[o].data<float>()[i];
  }
  return sum;
}

// The gradients of random sums of the outputs by every float input, against differences over steps
// of `step`, but for the inputs `fixed`. What float32 rounds in an output of size s moves a
// difference by about 1e-7 s / step.
inline void Check(OneOp op, float step = 1e-2f, float tolerance = 3e-3f,
                  const std::set<std::string>& fixed = {}) {
  Graph& graph = op.graph;
  const std::string name = graph.nodes[0].op_type;
  std::set<std::string> wanted;
  for (const auto& [input, t] : op.inputs)
    if (t.dtype() == DType::kFloat32) wanted.insert(input);
  for (const auto& [constant, t] : graph.initializers)
    if (t.dtype() == DType::kFloat32) wanted.insert(constant);
  for (const std::string& value : fixed) wanted.erase(value);
  const Gradient gradient(graph, wanted, Threads(2));
  const Tape tape = gradient.Forward(op.inputs);
  std::vector<Tensor> directions;
  for (const Tensor& y : tape.outputs)
    directions.push_back(y.dtype() == DType::kFloat32
                             ? Random(y.shape(), 7 + static_cast<unsigned>(directions.size()))
                             : Tensor());
  TensorMap got;
  gradient.Reverse(tape, directions, [&](const std::string& value, const Tensor& g) {
    EXPECT_TRUE(got.emplace(value, g.ToLayout(Layout::kPlain)).second) << value;
  });
  for (const std::string& value : wanted) {
    const bool constant = graph.initializers.contains(value);
    const Tensor at = constant ? graph.initializers[value] : op.inputs[value];
    if (!got.contains(value)) {
      ADD_FAILURE() << name << ": no gradient of " << value;
      continue;
    }
    ASSERT_EQ(got[value].shape(), at.shape()) << name << " " << value;
    for (int64_t i = 0; i < at.numel(); ++i) {
      const auto moved = [&](float by) {
        Tensor t = at.Clone();
        t.data<float>()[i] += by;
        TensorMap inputs = op.inputs;
        Graph g = graph;
        (constant ? g.initializers[value] : inputs[value]) = t;
        return Along(Session(g, {}).Run(inputs), directions);
      };
      const double want = (moved(step) - moved(-step)) / (2 * static_cast<double>(step));
      EXPECT_NEAR(got[value].data<float>()[i], want, tolerance * (1 + std::fabs(want)))
          << name << " " << value << "[" << i << "]";
    }
  }
}

}  // namespace mezzo
