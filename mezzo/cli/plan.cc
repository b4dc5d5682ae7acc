// mezzo plan: the best precision for each layer under hard budgets.
#include <algorithm>

#include "mezzo/base/error.h"
#include "mezzo/cli/commands.h"
#include "mezzo/cli/plan_network.h"
#include "mezzo/cli/plan_text.h"

namespace mezzo {
namespace {

struct Options {
  PlannerOptions planner;
  PlanNetworkOptions network;
  PlanTextOptions text;
  ThreadOptions threads;
  LlmQuantizeOptions llm;
};

void AddNetwork(CLI::App& cmd, PlanNetworkOptions& o) {
  cmd.add_option("--samples", o.samples, "Calibration samples (0: half, at most 512)")
      ->capture_default_str();
  cmd.add_option("--evaluation-samples", o.evaluation_samples, "Held-out samples (0: all others)")
      ->capture_default_str();
  cmd.add_option("--sensitivity-samples", o.sensitivity_samples,
                 "Backward passes that sensitivity is measured by")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  cmd.add_option("--targets", o.targets,
                 "What the loss is taken against, the float model's own predictions or labels")
      ->check(CLI::IsMember({"predictions", "labels"}))
      ->capture_default_str();
  cmd.add_option("--formats", o.formats,
                 "What weights may be besides float32 and int8, as int4,nf4/32 (default: all)");
  cmd.add_option("--validate", o.validate,
                 "Check the rankings by quantizing each layer alone, on so many samples")
      ->capture_default_str();
  cmd.add_flag("--no-tuning", o.no_tuning, "Leave scales and biases as they are after the choice");
}

void AddText(CLI::App& cmd, PlanTextOptions& o) {
  cmd.add_option("--sensitivity-windows", o.windows, "Windows that sensitivity is measured on")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  cmd.add_option("--probes", o.probes, "Probes a window")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  cmd.add_option("--evaluation-windows", o.evaluation_windows,
                 "Windows behind the calibration's to measure on")
      ->capture_default_str();
  cmd.add_option("--recovery-ranks", o.ranks,
                 "Ranks of recovery paths that layers in four bits may have, of networks those of "
                 "fewer than 8")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096));
}

}  // namespace

void AddPlan(CLI::App& app) {
  CLI::App* cmd = app.add_subcommand(
      "plan", "The best precision for each layer under hard budgets, with a certificate");
  auto o = std::make_shared<Options>();
  PlannerOptions& p = o->planner;
  cmd->add_option("model", p.model, "Float ONNX model, or a language model")->required();
  cmd->add_option("-o,--output", p.output, "Where the Plan goes (JSON), for quantize --plan")
      ->required();
  cmd->add_option("--budget", p.budgets,
                  "size=45% of the float model's file, size=2.1MB, bops=10%, latency=12ms; all "
                  "that are given hold")
      ->required();
  o->network.data.Add(*cmd, true);
  o->threads.Add(*cmd);
  cmd->add_option("--exclude", p.exclude, "Layers that stay float")->delimiter(',');
  cmd->add_option("--tie", p.ties, "Layers that share a precision, as a+b+c")->delimiter(',');
  cmd->add_flag("--tie-shared-inputs", p.tie_shared_inputs,
                "Layers that read the same value share a precision, such as queries, keys, values");
  cmd->add_option("--ranking", p.ranking,
                  "fisher, hawq, auto-quantize, sqnr; of networks also eagl, ompq")
      ->check(CLI::IsMember({"fisher", "hawq", "auto-quantize", "sqnr", "eagl", "ompq"}))
      ->capture_default_str();
  cmd->add_option("--front", p.front_points,
                  "Measure this many sizes of the whole range, by each ranking")
      ->capture_default_str();
  cmd->add_option("--refine", p.refine,
                  "Rounds of measuring what each layer costs in its place, and choosing again")
      ->capture_default_str();
  cmd->add_option("--report", p.report, "One HTML page; its JSON goes beside it");
  cmd->add_flag("--json", p.json, "What was found, as JSON; the steps go to standard error");
  AddNetwork(*cmd, o->network);
  AddText(*cmd, o->text);
  o->llm.Add(*cmd);
  o->llm.scheme = "w4a8-int8";
  PutInGroup(*cmd, kForNetworks,
             {"--samples", "--evaluation-samples", "--sensitivity-samples", "--targets",
              "--formats", "--validate", "--no-tuning", "--refine"});
  PutInGroup(*cmd, kForTexts, {"--sensitivity-windows", "--probes", "--evaluation-windows"});
  cmd->callback([o, cmd] {
    const bool text = IsLanguageModel(*cmd, o->planner.model);
    o->text.data = o->network.data.data;
    o->text.seed = o->network.data.seed;
    o->text.threads = o->network.threads = o->threads.threads;
    std::vector<int64_t>& ranks = o->text.ranks;
    std::sort(ranks.begin(), ranks.end());
    ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
    o->network.ranks = ranks;
    if (text) {
      const std::string& r = o->planner.ranking;
      Require(r != "eagl" && r != "ompq", "--ranking ", r, " is for networks");
      return PlanText(o->planner, o->text, o->llm);
    }
    PlanNetwork(o->planner, o->network);
  });
}

}  // namespace mezzo
