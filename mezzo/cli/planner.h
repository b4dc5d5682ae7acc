// What mezzo plan does for networks and language models alike: choose under budgets, weigh what was
// chosen, measure the front, report.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "mezzo/algorithm/mixed/choose.h"
#include "mezzo/cli/budgets.h"
#include "mezzo/report/measure.h"
#include "mezzo/report/plan_report.h"

namespace mezzo {

struct PlannerOptions {
  std::string model, output, report, ranking = "fisher";
  std::vector<std::string> budgets, exclude;  // layers that stay float
  std::vector<std::string> ties;              // "a+b+c": layers that share a precision
  size_t front_points = 0;                    // sizes of the whole range that are measured
  size_t refine = 0;  // rounds of measuring each layer in its place and choosing again
  bool tie_shared_inputs = false, json = false;
};

class Planner {
 public:
  explicit Planner(const PlannerOptions& o);
  virtual ~Planner() = default;

 protected:
  // Every layer's options with what they lose by a ranking, without costs, ties and the user's
  // exclusions; the same layers and options each time.
  virtual std::vector<LayerChoices> LossesBy(const std::string& ranking) = 0;
  virtual std::vector<std::string> Rankings() const = 0;  // "fisher" first
  // What an option costs under the budget of this name.
  virtual int64_t Cost(const std::string& budget, size_t layer, size_t option) const = 0;
  // What all else costs, and what the float model costs in all.
  virtual int64_t Rest(const std::string& budget) const = 0;
  virtual double OfFloat(const std::string& budget) const = 0;
  // The finished model with these options, by layer.
  virtual PlanPoint Weigh(const std::vector<size_t>& options, double predicted) = 0;
  // A better choice than the solver's for these choices and limits, by measuring; or the same.
  virtual Choice Refined(const Choice& choice, const std::vector<LayerChoices>& /*layers*/,
                         const std::vector<Budget>& /*limits*/) {
    return choice;
  }
  // Uniform choices to compare with, by option name.
  virtual std::vector<std::string> UniformOptions() const = 0;

  // Throws UsageError as Choose does where no choice fits or a layer's name is unknown. Asks for
  // the losses by "sqnr", which needs no measuring.
  void CheckFeasible();
  // The best choice under the budgets, said on out().
  void Choose();
  // Compares the finished model with what was planned; UsageError if a size is above its budget.
  void CheckBudgets(const PlanPoint& finished, double latency_ns);
  void MeasureFront();
  // The rest of the report is the caller's.
  void FillReport(size_t threads);
  void WriteReport();

  std::FILE* out() const { return options_.json ? stderr : stdout; }
  std::vector<LayerChoices> ChoicesBy(const std::string& ranking,
                                      const std::vector<Budget>& limits);

  const PlannerOptions& options_;
  StageClock clock_;
  std::vector<std::string> inputs_;  // by layer, what it reads: set by the caller before Choose
  std::vector<Budget> limits_;
  std::vector<LayerChoices> choices_;
  Choice choice_;
  PlanReport report_;

 private:
  void SetLimits();
  void TieLayers(std::vector<LayerChoices>& layers) const;

  const std::vector<BudgetText> budgets_;
};

}  // namespace mezzo
