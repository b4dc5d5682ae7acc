#include "mezzo/calibrate/collect.h"

#include <atomic>
#include <unordered_map>

namespace mezzo {

std::map<std::string, Histogram> CollectHistograms(const Graph& graph,
                                                   const std::set<std::string>& values,
                                                   const SampleFn& sample, size_t count,
                                                   const Threads& threads,
                                                   const std::function<void(size_t)>& progress) {
  const Session session(graph,
                        {});  // one sample a thread scales better than threads inside operators
  std::vector<std::unordered_map<std::string, Histogram>> seen(threads.count());
  std::atomic<size_t> done{0};
  threads.Each(count, [&](size_t i, size_t worker) {
    const auto observe = [&](const std::string& name, const Tensor& t) {
      if (!values.contains(name)) return;
      Require(t.dtype() == DType::kFloat32, "value ", name, " is ", Name(t.dtype()),
              ", needs float32");
      Histogram& h = seen[worker][name];
      const uint64_t bad = h.nans();
      h.Add(t.span<float>());
      Require(h.nans() == bad, "value ", name, " holds NaN or infinity on calibration sample ", i);
    };
    const TensorMap inputs = sample(i);
    for (const auto& [name, t] : inputs) observe(name, t);
    session.Run(inputs, [&](const Node& node, size_t output, Tensor& value) {
      observe(node.outputs[output], value);
    });
    const size_t now = ++done;
    if (progress) progress(now);
  });
  std::map<std::string, Histogram> merged;
  for (const auto& part : seen)
    for (const auto& [name, h] : part) merged[name].Merge(h);
  return merged;
}

}  // namespace mezzo
