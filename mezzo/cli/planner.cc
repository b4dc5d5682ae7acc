#include "mezzo/cli/planner.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <optional>

#include "mezzo/base/error.h"
#include "mezzo/base/files.h"

namespace mezzo {

Planner::Planner(const PlannerOptions& o) : options_(o), budgets_(ParseBudgets(o.budgets)) {}

void Planner::TieLayers(std::vector<LayerChoices>& layers) const {
  if (options_.tie_shared_inputs) {
    const std::vector<std::string> ties = TiesOfSharedInputs(inputs_);
    for (size_t l = 0; l < layers.size(); ++l)
      if (!ties[l].empty()) layers[l].tie = "reads " + ties[l];
  }
  for (const std::string& tie : options_.ties) {
    for (size_t begin = 0; begin <= tie.size();) {
      const size_t end = std::min(tie.find('+', begin), tie.size());
      const std::string name = tie.substr(begin, end - begin);
      const auto it = std::find_if(layers.begin(), layers.end(),
                                   [&](const LayerChoices& l) { return l.name == name; });
      Require(it != layers.end(), "--tie: the model has no layer ", name);
      Require(it->tie.empty(), "--tie: layer ", name, " is tied already (", it->tie, ")");
      it->tie = tie;
      begin = end + 1;
    }
  }
}

std::vector<LayerChoices> Planner::ChoicesBy(const std::string& ranking,
                                             const std::vector<Budget>& limits) {
  std::vector<LayerChoices> layers = LossesBy(ranking);
  TieLayers(layers);
  for (const std::string& name : options_.exclude)
    Require(std::any_of(layers.begin(), layers.end(),
                        [&](const LayerChoices& l) { return l.name == name; }),
            "--exclude: the model has no layer ", name);
  for (size_t l = 0; l < layers.size(); ++l) {
    const bool fixed = std::find(options_.exclude.begin(), options_.exclude.end(),
                                 layers[l].name) != options_.exclude.end();
    for (size_t i = 0; i < layers[l].options.size(); ++i) {
      LayerOption& option = layers[l].options[i];
      option.excluded |= fixed && option.name != "float32";
      option.bytes = Cost("size", l, i);
      for (const Budget& b : limits) option.costs.push_back(Cost(b.name, l, i));
    }
  }
  return layers;
}

void Planner::SetLimits() {
  limits_.clear();
  for (const BudgetText& b : budgets_)
    limits_.push_back({b.name, static_cast<int64_t>(b.share ? b.value * OfFloat(b.name) : b.value),
                       Rest(b.name)});
}

void Planner::CheckFeasible() {
  SetLimits();
  ChooseOptions(ChoicesBy("sqnr", limits_), limits_);
}

void Planner::Choose() {
  clock_.Begin("choosing");
  report_.notes.clear();
  SetLimits();
  choices_ = ChoicesBy(options_.ranking, limits_);
  const Stopwatch watch;
  choice_ = ChooseOptions(choices_, limits_);
  report_.solver_ms = 1e3 * watch.Seconds();
  const KnapsackAnswer a = choice_.answer;
  const double bound = static_cast<double>(a.lower_bound) * choice_.loss_unit;
  std::fprintf(out(), "predicted loss %.6g, %s (%.2f ms; greedy %.6g)\n", choice_.loss,
               a.proven ? "proven to be the least"
                        : Cat("no choice is below ", bound, " (gap not closed)").c_str(),
               report_.solver_ms, static_cast<double>(a.greedy.loss) * choice_.loss_unit);
  if (options_.refine > 0) {
    clock_.Begin("refining by measurement");
    const double predicted = choice_.loss;
    choice_ = Refined(choice_, choices_, limits_);
    if (choice_.loss != predicted)
      report_.notes.push_back(Cat("the choice was refined by measurement: its predicted loss is ",
                                  choice_.loss, ", the proven least ", predicted));
  }
  std::map<std::string, int> count;
  for (size_t l = 0; l < choices_.size(); ++l)
    ++count[choices_[l].options[choice_.options[l]].name];
  std::string layers;
  for (const auto& [name, n] : count) layers += Cat(layers.empty() ? "" : ", ", n, " ", name);
  std::fprintf(out(), "layers: %s\n", layers.c_str());
}

void Planner::CheckBudgets(const PlanPoint& finished, double latency_ns) {
  report_.chosen = finished;
  for (size_t b = 0; b < limits_.size(); ++b) {
    const std::string& name = limits_[b].name;
    const auto planned = static_cast<double>(choice_.costs[b]);
    const double real = name == "size" ? finished.bytes : name == "latency" ? latency_ns : planned;
    const char* unit = name == "size" ? "B" : name == "latency" ? "ns" : "BOPs";
    report_.budgets.push_back({name, unit, static_cast<double>(limits_[b].limit), planned, real});
    std::fprintf(out(), "%s: budget %.0f %s, planned %.0f, real %.0f\n", name.c_str(),
                 report_.budgets.back().limit, unit, planned, real);
    Require(name != "size" || real <= static_cast<double>(limits_[b].limit), "the model has ", real,
            " bytes, the budget is ", limits_[b].limit);
  }
}

void Planner::MeasureFront() {
  if (options_.front_points == 0) return;
  clock_.Begin("measuring the front");
  std::vector<LayerChoices> choices = ChoicesBy("fisher", {});
  PlanSeries uniform{"uniform", {}};
  int64_t least = Rest("size"), most = least;
  for (const LayerChoices& layer : choices) {
    int64_t smallest = INT64_MAX, largest = 0;
    for (const LayerOption& o : layer.options) {
      smallest = std::min(smallest, o.bytes);
      if (o.name == "int8") largest = o.bytes;
    }
    least += smallest;
    most += std::max(smallest, largest);
  }
  for (const std::string& name : UniformOptions()) {
    std::vector<size_t> options;
    double predicted = 0;
    for (const LayerChoices& layer : choices) {
      size_t at = 0;
      for (size_t i = 0; i < layer.options.size(); ++i)
        if (layer.options[i].name == name) at = i;
      options.push_back(at);
      predicted += layer.options[at].loss;
    }
    uniform.points.push_back(Weigh(options, predicted));
  }
  std::sort(uniform.points.begin(), uniform.points.end(),
            [](const PlanPoint& a, const PlanPoint& b) { return a.bytes < b.bytes; });
  report_.series.push_back(std::move(uniform));
  std::vector<std::string> names = Rankings();
  names.insert(names.begin() + 1, "greedy");
  for (const std::string& name : names) {
    const bool greedy = name == "greedy";
    std::vector<Budget> limit{{"size", 0, Rest("size")}};
    choices = ChoicesBy(greedy ? "fisher" : name, limit);
    PlanSeries series{name == "fisher" ? "mezzo" : name, {}};
    for (size_t i = 1; i <= options_.front_points; ++i) {
      limit[0].limit = least + (most - least) * static_cast<int64_t>(i) /
                                   static_cast<int64_t>(options_.front_points);
      Choice c;
      if (greedy) {
        const std::optional<Choice> found = GreedyChoice(choices, limit);
        if (!found) continue;
        c = *found;
      } else {
        c = ChooseOptions(choices, limit);
      }
      if (name == "fisher" && options_.refine > 0) c = Refined(c, choices, limit);
      series.points.push_back(Weigh(c.options, c.loss));
      const PlanPoint& p = series.points.back();
      std::fprintf(out(), "%s: %.0f bytes, %.3f bits a weight, %s %.6g, %s %.6g\n",
                   series.name.c_str(), p.bytes, p.average_bits, report_.metric.c_str(), p.metric,
                   report_.loss_name.c_str(), p.output_loss);
    }
    report_.series.push_back(std::move(series));
  }
}

void Planner::FillReport(size_t threads) {
  PlanReport& r = report_;
  r.model = std::filesystem::path(options_.model).filename();
  r.plan = std::filesystem::path(options_.output).filename();
  for (size_t l = 0; l < r.layers.size(); ++l) {
    r.layers[l].chosen = choice_.options[l];
    for (const LayerOption& o : choices_[l].options)
      r.layers[l].options.push_back({o.name, o.bits, static_cast<double>(o.bytes), o.loss, NAN});
  }
  const std::vector<LayerChoices> sizes = ChoicesBy(options_.ranking, {{"size", 0, 0}});
  for (const HullPoint& p : Hull(sizes, Rest("size")))
    r.front.push_back({static_cast<double>(p.cost), NAN, p.loss, NAN, NAN});
  const KnapsackAnswer& a = choice_.answer;
  r.proven = a.proven;
  r.lower_bound = static_cast<double>(a.lower_bound) * choice_.loss_unit;
  r.gap = choice_.loss > 0 ? std::max(0.0, (choice_.loss - r.lower_bound) / choice_.loss) : 0;
  r.greedy_loss = a.greedy.feasible ? static_cast<double>(a.greedy.loss) * choice_.loss_unit : NAN;
  r.certificate = "multipliers";
  for (size_t b = 0; b < a.certificate.multipliers.size(); ++b)
    r.certificate += Cat(" ", limits_[b].name, " ", a.certificate.multipliers[b], "/",
                         a.certificate.denominator);
  r.certificate += Cat(": no choice loses less than ", a.certificate.bound, " of ",
                       choice_.loss_unit, "; ", a.states, " partial choices searched");
  r.stages = clock_.Stages();
  r.peak_memory_bytes = PeakMemoryBytes();
  r.threads = threads;
  r.cpu = CpuName();
}

void Planner::WriteReport() {
  if (!options_.report.empty()) {
    WriteFile(options_.report, ToHtml(report_));
    WriteFile(std::filesystem::path(options_.report).replace_extension(".json"), ToJson(report_));
    std::fprintf(out(), "report: %s\n", options_.report.c_str());
  }
  if (options_.json) std::printf("%s\n", ToJson(report_).c_str());
}

}  // namespace mezzo
