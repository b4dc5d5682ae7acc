#include "mezzo/cli/yardstick.h"

#include <algorithm>

#include "mezzo/algorithm/sensitivity/probe.h"

namespace mezzo {
namespace {

constexpr size_t kKeptOutputs = size_t{64} << 20;

}  // namespace

std::vector<double> Yardstick::Sizes() {
  std::vector<double> sizes(samples_.size());
  setup_.threads.Each(sizes.size(), [&](size_t i, size_t) {
    sizes[i] = ProbeSize(setup_.task.distortion, FloatOutputs(i, Inputs(i)));
  });
  return sizes;
}

double Yardstick::Loss(const Graph& graph, size_t count) {
  const Session session(graph, {});
  std::vector<double> losses(std::min(count, kept_.size()));
  setup_.threads.Each(losses.size(), [&](size_t i, size_t) {
    const TensorMap inputs = Inputs(i);
    losses[i] = OutputLoss(setup_.task.distortion, FloatOutputs(i, inputs), session.Run(inputs));
  });
  double sum = 0;
  for (const double l : losses) sum += l;
  return sum / static_cast<double>(losses.size());
}

std::vector<Tensor> Yardstick::FloatOutputs(size_t i, const TensorMap& inputs) {
  if (!kept_[i].empty()) return kept_[i];
  std::vector<Tensor> outputs = session_.Run(inputs);
  size_t bytes = 0;
  for (const Tensor& t : outputs) bytes += t.bytes();
  if (bytes * kept_.size() <= kKeptOutputs) kept_[i] = outputs;
  return outputs;
}

}  // namespace mezzo
