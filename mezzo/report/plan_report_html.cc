// The page of a plan: what can be read without a script is made here; the script draws the charts
// from the JSON that the page carries.
#include <cmath>

#include "mezzo/base/error.h"
#include "mezzo/report/page.h"
#include "mezzo/report/plan_report.h"
#include "page_assets.inc"  // the files of page/, see cmake/embed.cmake

namespace mezzo {
namespace {

using Column = HtmlTable::Column;

std::string FormatAmount(double v, const std::string& unit) {
  if (unit == "B") return FormatBytes(v);
  if (unit == "ns") return FormatMilliseconds(v / 1e6);
  return FormatCount(v) + (std::isfinite(v) ? " " + EscapeHtml(unit) : "");
}

// The plan's loss between what nothing undercuts and what the greedy gives.
std::string Optimality(const PlanReport& r) {
  const double ours = r.chosen.predicted_loss, greedy = r.greedy_loss;
  std::string more =
      Cat("loss ", FormatNumber(ours, 3), ", none undercuts ", FormatNumber(r.lower_bound, 3),
          "; the greedy's ", FormatNumber(greedy, 3));
  if (ours > 0 && greedy > 0) more += Cat(", ", FormatNumber(greedy / ours, 3), "×");
  more += "; solved in " + FormatMilliseconds(r.solver_ms);
  if (r.proven) return Card("Choice", "✓ proven optimal", more, "good");
  return Card("Choice", "≤ " + FormatPercent(r.gap) + " from optimal", more);
}

std::string Summary(const PlanReport& r) {
  const double share = r.chosen.bytes / r.float_bytes;
  const std::string times = Times(r.float_bytes, r.chosen.bytes, "smaller", "larger");
  return Card(MetricTitle(r.metric, r.higher_is_better),
              FromTo(FormatNumber(r.float_metric), FormatNumber(r.chosen.metric)),
              Cat(r.evaluation_samples, " held-out samples")) +
         Card("File size", FromTo(FormatBytes(r.float_bytes), FormatBytes(r.chosen.bytes)),
              Cat(r.float_bytes > 0 ? FormatPercent(share, 1) + ", " : "",
                  times.empty() ? "" : times + ", ", FormatNumber(r.chosen.average_bits, 3),
                  " bits a weight")) +
         Card(EscapeHtml(r.loss_name) + " of the outputs", FormatNumber(r.chosen.output_loss, 3),
              Cat("predicted: ", FormatNumber(r.chosen.predicted_loss, 3))) +
         Optimality(r);
}

std::string BudgetTitle(const std::string& name) {
  return name == "size"      ? "File size"
         : name == "bops"    ? "Bit operations"
         : name == "latency" ? "Latency"
                             : EscapeHtml(name);
}

std::string Budgets(const PlanReport& r) {
  if (r.budgets.empty()) return "<p>None was set.</p>";
  HtmlTable table({{"Budget", Column::kText}, {"Limit"}, {"Planned"}, {"Real"}, {"Of the limit"}});
  for (const PlanBudget& b : r.budgets) {
    const bool known = std::isfinite(b.real) && std::isfinite(b.limit);
    const bool kept = b.real <= b.limit;
    table.Row({BudgetTitle(b.name), FormatAmount(b.limit, b.unit), FormatAmount(b.planned, b.unit),
               FormatAmount(b.real, b.unit) + (!known ? ""
                                               : kept ? " ✓"
                                                      : " ✗"),
               FormatPercent(b.real / b.limit)},
              !known ? ""
              : kept ? "met"
                     : "broken");
  }
  return table.Html();
}

std::string Proof(const PlanReport& r) {
  return r.certificate.empty() ? "" : "<p>" + EscapeHtml(r.certificate) + "</p>\n";
}

std::string Series(const PlanReport& r) {
  HtmlTable table(
      {{"Chosen by", Column::kText}, {"Size"}, {"Bits"}, {r.metric}, {r.loss_name}, {"Predicted"}});
  const auto row = [&](const std::string& name, const PlanPoint& p, const char* css_class) {
    table.Row({name, FormatBytes(p.bytes), FormatNumber(p.average_bits, 3), FormatNumber(p.metric),
               FormatNumber(p.output_loss, 3), FormatNumber(p.predicted_loss, 3)},
              css_class);
  };
  row("the plan", r.chosen, "kept");
  for (const PlanSeries& s : r.series)
    for (const PlanPoint& p : s.points) row(EscapeHtml(s.name), p, "");
  return table.Html();
}

// "int4/32: 4.5 bits, 12.1 kB, loss 0.003"
std::string Option(const PlanOption& o) {
  std::string text = Cat(EscapeHtml(o.format), ": ", FormatNumber(o.bits, 3), " bits, ",
                         FormatBytes(o.bytes), ", loss ", FormatNumber(o.loss, 3));
  if (o.nanoseconds > 0) text += ", " + FormatMilliseconds(o.nanoseconds / 1e6);
  return text;
}

std::string Alternatives(const PlanLayer& l) {
  std::string html = EscapeHtml(l.why_fixed);
  if (l.options.size() < 2) return html;
  html += Cat("<details><summary>", l.options.size() - 1, " more</summary>");
  for (size_t i = 0; i < l.options.size(); ++i)
    if (i != l.chosen) html += "<div>" + Option(l.options[i]) + "</div>";
  return html + "</details>";
}

std::string Layers(const PlanReport& r) {
  HtmlTable table({{"#"},
                   {"Layer", Column::kName},
                   {"Weights"},
                   {"MACs"},
                   {"Format", Column::kText},
                   {"Bits"},
                   {"Bytes"},
                   {"Loss"},
                   {"Alternatives", Column::kText}});
  for (size_t i = 0; i < r.layers.size(); ++i) {
    const PlanLayer& l = r.layers[i];
    const PlanOption nothing{.bits = NAN, .bytes = NAN, .loss = NAN};
    const PlanOption& o = l.chosen < l.options.size() ? l.options[l.chosen] : nothing;
    table.Row(
        {Cat(i + 1), Code(l.node) + "<br><small>" + EscapeHtml(l.op) + "</small>",
         FormatCount(l.weights), FormatCount(l.macs), EscapeHtml(o.format), FormatNumber(o.bits, 3),
         FormatBytes(o.bytes), FormatNumber(o.loss, 3), Alternatives(l)},
        l.why_fixed.empty() ? "" : "dropped");
  }
  return table.Html();
}

std::string Rankings(const PlanReport& r) {
  if (r.rankings.empty()) return "<p>No layer was measured alone.</p>";
  std::vector<HtmlTable::Head> heads{{"Ranking", Column::kName}, {"All"}};
  for (const std::string& option : r.validated) heads.push_back({option});
  HtmlTable table(heads);
  double best = -INFINITY;
  for (const PlanRanking& k : r.rankings) best = std::fmax(best, k.correlation);
  for (const PlanRanking& k : r.rankings) {
    std::vector<std::string> cells{EscapeHtml(k.name), FormatNumber(k.correlation, 3)};
    for (size_t i = 0; i < r.validated.size(); ++i)
      cells.push_back(FormatNumber(i < k.by_option.size() ? k.by_option[i] : NAN, 3));
    table.Row(cells, k.correlation == best ? "kept" : "");
  }
  return table.Html();
}

std::string Activations(const PlanReport& r) {
  if (r.activations.empty()) return "<p>None was measured.</p>";
  std::vector<HtmlTable::Head> heads{{"Value", Column::kName}};
  for (const std::string& format : r.activation_formats) heads.push_back({format});
  HtmlTable table(heads);
  for (const PlanActivation& a : r.activations) {
    std::vector<std::string> cells{Code(a.value)};
    for (const double loss : a.losses) cells.push_back(FormatNumber(loss, 3));
    table.Row(cells, "");
  }
  return "<details><summary>Table</summary>" + table.Html() + "</details>";
}

std::string Stages(const PlanReport& r) {
  return Cat(StageTable(r.stages), "<p>Peak memory ", FormatBytes(r.peak_memory_bytes), "; ",
             r.threads, r.threads == 1 ? " thread" : " threads", ", ", EscapeHtml(r.cpu), "; ",
             r.calibration_samples, " samples to calibrate, ", r.sensitivity_samples,
             " for sensitivity, ", r.evaluation_samples, " held out.</p>");
}

}  // namespace

std::string ToHtml(const PlanReport& r) {
  return ToHtml(Page{.title = r.model + " in mixed precision",
                     .body = kPlanHtml,
                     .parts = {{"model", EscapeHtml(r.model)},
                               {"plan", EscapeHtml(r.plan)},
                               {"metric_title", MetricTitle(r.metric, r.higher_is_better)},
                               {"loss_name", EscapeHtml(r.loss_name)},
                               {"summary", Summary(r)},
                               {"budgets", Budgets(r)},
                               {"proof", Proof(r)},
                               {"series", Series(r)},
                               {"layers", Layers(r)},
                               {"rankings", Rankings(r)},
                               {"activations", Activations(r)},
                               {"notes", NotesList(r.notes)},
                               {"stages", Stages(r)}},
                     .json = ToJson(r),
                     .script = kPlanJs});
}

}  // namespace mezzo
