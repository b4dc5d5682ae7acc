#include "mezzo/algorithm/mixed/tune.h"

#include "mezzo/algorithm/apply_plan.h"

namespace mezzo {

Tuned TunePlan(const Model& prepared, Plan plan, const TuningSet& samples, size_t memory,
               const std::function<double(const Model&)>& loss, const Threads& threads) {
  Tuned best;
  best.model = ApplyPlan(prepared, plan, &plan.notes);
  best.plan = plan;
  double least = loss(best.model);
  best.note = Cat(least);
  for (const bool scales : {false, true}) {
    Plan tuned = plan;
    for (auto& [name, node] : tuned.nodes) node.bias_shift.clear();
    ApplyFits(prepared.graph, FitOutputs(prepared, tuned, samples, memory, scales, threads), tuned);
    Model fitted = ApplyPlan(prepared, tuned);
    const double got = loss(fitted);
    best.note += Cat(scales ? ", scales and biases " : ", with biases fitted ", got);
    if (got >= least) continue;
    least = got;
    best.model = std::move(fitted);
    best.plan = std::move(tuned);
  }
  best.note += ": the best was kept";
  return best;
}

}  // namespace mezzo
