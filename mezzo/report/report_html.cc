// The page: what can be read without a script is made here; the script draws the charts from the
// JSON that the page carries.
#include <algorithm>
#include <cmath>

#include "mezzo/base/error.h"
#include "mezzo/report/page.h"
#include "page_assets.inc"  // the files of page/, see cmake/embed.cmake

namespace mezzo {
namespace {

using Column = HtmlTable::Column;

// A value, and the node that makes it unless the value is called after it, as exporters do.
std::string ValueAndNode(const std::string& value, const std::string& node) {
  return node.empty() || value.starts_with(node)
             ? Code(value)
             : Code(value) + "<br><small>" + Code(node) + "</small>";
}

constexpr double kEqual = 200;  // dB: the two values are the same

std::string Decibel(double v) { return v >= kEqual ? "equal" : FormatNumber(v); }

std::string Loss(const Int8Report& r) {
  // the bar shows the share of the tolerance that is used up
  const double used = r.tolerance > 0 ? r.loss / r.tolerance : (r.loss > 0 ? 1 : 0);
  const double width = std::isfinite(used) ? 100 * std::clamp(used, 0.0, 1.0) : 100;
  return Card("Loss", FormatPercent(r.loss),
              Cat(r.within_tolerance ? "✓ within" : "✗ beyond", " the tolerance of ",
                  FormatPercent(r.tolerance),
                  "<span class=\"meter\" aria-hidden=\"true\"><i style=\"width:",
                  FormatNumber(width, 3), "%\"></i></span>"),
              r.within_tolerance ? "good" : "bad");
}

std::string Summary(const Int8Report& r) {
  std::string samples = Cat(r.evaluation_samples, " held-out samples");
  if (r.standard_error > 0) samples = "± " + FormatNumber(r.standard_error, 2) + " on " + samples;
  std::string latency = Times(r.float_ms, r.int8_ms, "faster", "slower");
  if (!latency.empty()) latency += "; ";
  latency += Cat(r.threads, r.threads == 1 ? " thread" : " threads", ", ", EscapeHtml(r.cpu));
  std::string share = Cat(r.quantized_nodes, " nodes");
  if (!r.floats.empty()) share += Cat(", ", r.floats.size(), " stay float");
  return Card(MetricTitle(r.metric, r.higher_is_better),
              FromTo(FormatNumber(r.float_metric), FormatNumber(r.int8_metric)), samples) +
         Loss(r) +
         Card("File size", FromTo(FormatBytes(r.float_bytes), FormatBytes(r.int8_bytes)),
              Times(r.float_bytes, r.int8_bytes, "smaller", "larger")) +
         Card("Latency", FromTo(FormatMilliseconds(r.float_ms), FormatMilliseconds(r.int8_ms)),
              latency) +
         Card("Multiply-adds in int8", FormatPercent(r.int8_macs, 1), share);
}

// The three values with the least SQNR, in words.
std::string Lowest(const Int8Report& r) {
  std::vector<const ReportLayer*> layers;
  for (const ReportLayer& l : r.layers)
    if (l.sqnr_db < kEqual) layers.push_back(&l);
  const auto shown = layers.begin() + static_cast<int64_t>(std::min<size_t>(3, layers.size()));
  std::partial_sort(layers.begin(), shown, layers.end(),
                    [](const auto* a, const auto* b) { return a->sqnr_db < b->sqnr_db; });
  std::string text;
  for (auto it = layers.begin(); it != shown; ++it)
    text += Cat(text.empty() ? "<p>Lowest: " : ", ", Code((*it)->value), " ",
                Decibel((*it)->sqnr_db), " dB");
  return text.empty() ? "" : text + ".</p>";
}

std::string Ladder(const Int8Report& r) {
  HtmlTable table({{"#"},
                   {"Kept", Column::kText},
                   {"Tried", Column::kName},
                   {"Loss"},
                   {r.metric},
                   {"Distortion"},
                   {"MACs in int8"}});
  for (size_t i = 0; i < r.ladder.size(); ++i) {
    const LadderStep& s = r.ladder[i];
    table.Row({Cat(i + 1), s.kept ? "✓" : "", EscapeHtml(s.tried), FormatPercent(s.loss),
               FormatNumber(s.metric), FormatNumber(s.distortion), FormatPercent(s.int8_macs, 1)},
              s.kept ? "kept" : "dropped");
  }
  return table.Html();
}

std::string Layers(const Int8Report& r) {
  HtmlTable table({{"#"},
                   {"Value", Column::kName},
                   {"Operator", Column::kText},
                   {"Runs in", Column::kText},
                   {"SQNR dB"},
                   {"Cosine"},
                   {"Max error"},
                   {"MACs"}});
  for (size_t i = 0; i < r.layers.size(); ++i) {
    const ReportLayer& l = r.layers[i];
    table.Row({Cat(i + 1), ValueAndNode(l.value, l.node), EscapeHtml(l.op), l.precision,
               Decibel(l.sqnr_db), FormatNumber(l.cosine, 6), FormatNumber(l.max_error, 3),
               l.macs > 0 ? FormatPercent(l.macs) : ""},
              l.precision == "float" ? "float" : "");
  }
  return table.Html();
}

std::string Activations(const Int8Report& r) {
  HtmlTable table({{"Value", Column::kName},
                   {"SQNR dB"},
                   {"Own SQNR dB"},
                   {"Rule", Column::kText},
                   {"Range"},
                   {"Seen"},
                   {"Clipped"},
                   {"Scale"},
                   {"Zero point"}});
  for (const ReportActivation& a : r.activations)
    table.Row({Code(a.value) + (a.used ? "" : " <small>(not applied)</small>"), Decibel(a.sqnr_db),
               Decibel(a.grid_sqnr_db),
               EscapeHtml(a.calibration) + (a.symmetric ? " symmetric" : ""),
               FormatNumber(a.lo) + " … " + FormatNumber(a.hi),
               FormatNumber(a.min) + " … " + FormatNumber(a.max), FormatPercent(a.clipped),
               FormatNumber(a.scale), Cat(a.zero_point)});
  return table.Html();
}

std::string Floats(const Int8Report& r) {
  if (r.floats.empty()) return "<p>Nothing: every layer that computes runs in int8.</p>";
  HtmlTable table({{"Node", Column::kName}, {"Why", Column::kName}, {"MACs"}});
  for (const ReportFloatNode& f : r.floats)
    table.Row({Code(f.node) + "<br><small>" + EscapeHtml(f.op) + "</small>", EscapeHtml(f.reason),
               FormatPercent(f.macs)});
  return table.Html();
}

std::string Worst(const Int8Report& r) {
  if (r.worst.empty()) return "<p>None were compared.</p>";
  HtmlTable table(
      {{"Sample", Column::kName}, {"Float score"}, {"Int8 score"}, {"Change"}, {"Output SQNR dB"}});
  for (const ReportSample& s : r.worst)
    table.Row({Code(s.name), FormatNumber(s.float_score), FormatNumber(s.int8_score),
               FormatNumber(s.int8_score - s.float_score, 3), Decibel(s.sqnr_db)});
  return table.Html();
}

std::string Stages(const Int8Report& r) {
  return Cat(StageTable(r.stages), "<p>Peak memory ", FormatBytes(r.peak_memory_bytes), "; ",
             r.calibration_samples, " samples to calibrate, ", r.evaluation_samples,
             " held out.</p>");
}

}  // namespace

std::string ToHtml(const Int8Report& r) {
  return ToHtml(Page{.title = r.model + " in INT8",
                     .body = kQuantizeHtml,
                     .parts = {{"model", EscapeHtml(r.model)},
                               {"output", EscapeHtml(r.output)},
                               {"summary", Summary(r)},
                               {"ladder", Ladder(r)},
                               {"lowest", Lowest(r)},
                               {"layers", Layers(r)},
                               {"activations", Activations(r)},
                               {"floats", Floats(r)},
                               {"notes", NotesList(r.notes)},
                               {"worst", Worst(r)},
                               {"stages", Stages(r)}},
                     .json = ToJson(r),
                     .script = std::string(kHistogramsJs) + kQuantizeJs});
}

}  // namespace mezzo
