// The page of simulated chips: what can be read without a script is made here; the script draws the
// charts from the JSON that the page carries.
#include <cmath>

#include "mezzo/base/error.h"
#include "mezzo/report/chip_report.h"
#include "mezzo/report/page.h"
#include "page_assets.inc"  // the files of page/, see cmake/embed.cmake

namespace mezzo {
namespace {

using Column = HtmlTable::Column;

// By what results call their metrics. Agreement is with the integer engine here.
std::string Title(const ChipReport& r) {
  static const std::map<std::string, std::string> kMetrics{
      {"top1", "classify"},
      {"line_accuracy", "ctc"},
      {"spearman", "similarity"},
      {"top1_agreement", "Top-1 agreement with the integer engine"},
      {"sqnr_db", "sqnr"}};
  const auto it = kMetrics.find(r.metric);
  return MetricTitle(it == kMetrics.end() ? r.metric : it->second, r.higher_is_better);
}

// "none" and the like; a model without paths has one series, which has no name.
std::string SeriesName(const ChipSeries& s) {
  return s.recovery.empty() ? "no paths" : EscapeHtml(s.recovery);
}

std::string PlusMinus(double half_width) {
  return (std::isfinite(half_width) ? "±&nbsp;" : "") + FormatNumber(half_width, 2);
}

// The series with the best mean at the largest sigma; null if none has a mean there.
const ChipSeries* Best(const ChipReport& r) {
  const ChipSeries* best = nullptr;
  for (const ChipSeries& s : r.series) {
    if (s.points.empty() || !std::isfinite(s.points.back().mean)) continue;
    const ChipPoint& p = s.points.back();
    const ChipPoint* q = best ? &best->points.back() : nullptr;
    if (!q || p.sigma > q->sigma ||
        (p.sigma == q->sigma && (r.higher_is_better ? p.mean > q->mean : p.mean < q->mean)))
      best = &s;
  }
  return best;
}

std::string MetricCard(const ChipReport& r) {
  const ChipSeries* s = Best(r);
  if (!s)
    return Card(Title(r), FromTo(FormatNumber(r.integer_engine), FormatNumber(NAN)),
                "no chip was measured");
  const ChipPoint& p = s->points.back();
  std::string more = "at sigma " + FormatNumber(p.sigma);
  if (!s->recovery.empty())
    more += ", " + (s->meaning.empty() ? SeriesName(*s) : EscapeHtml(s->meaning));
  if (std::isfinite(p.half_width)) more += "; " + PlusMinus(p.half_width);
  return Card(Title(r), FromTo(FormatNumber(r.integer_engine), FormatNumber(p.mean)), more);
}

std::string Count(size_t n, const char* one, const char* many) {
  return Cat(n, " ", n == 1 ? one : many);
}

std::string Summary(const ChipReport& r) {
  return MetricCard(r) +
         Card("TOPS/W", FormatNumber(r.tops_per_watt, 3),
              FormatNumber(r.tops_per_watt_without_memory, 3) + " without the memories") +
         Card("Chips × samples", Cat(r.chips, " × ", r.samples),
              Count(r.layers.size(), "layer on arrays, ", "layers on arrays, ") +
                  Count(r.digital.size(), "product digital", "products digital"));
}

std::string Series(const ChipReport& r) {
  HtmlTable table(
      {{"Recovery paths", Column::kName}, {"Sigma"}, {"Mean"}, {"Deviation"}, {"95% interval"}});
  const ChipSeries* best = Best(r);
  for (const ChipSeries& s : r.series) {
    std::string name = SeriesName(s);
    if (!s.recovery.empty() && !s.meaning.empty())
      name += "<br><small>" + EscapeHtml(s.meaning) + "</small>";
    for (const ChipPoint& p : s.points) {
      table.Row({name, FormatNumber(p.sigma), FormatNumber(p.mean), FormatNumber(p.deviation, 2),
                 PlusMinus(p.half_width)},
                &s == best && r.series.size() > 1 ? "kept" : "");
      name = SeriesName(s);
    }
  }
  return table.Html();
}

// All digits of whole numbers, so that parts can be added up.
std::string Nanojoules(double femtojoules) {
  const double v = femtojoules / 1e6;
  return v >= 1000 && v < 1e15 ? Cat(std::llround(v)) : FormatNumber(v);
}

std::string Energy(const ChipReport& r) {
  if (r.energy.empty()) return "<p>It was not estimated.</p>";
  HtmlTable table({{"Part", Column::kText}, {"Energy, nJ"}, {"Share"}});
  double total = 0;
  for (const ChipEnergyPart& p : r.energy) total += p.femtojoules;
  const auto row = [&](const std::string& name, double femtojoules, const char* css_class) {
    table.Row({name, Nanojoules(femtojoules), FormatPercent(femtojoules / total, 1)}, css_class);
  };
  for (const ChipEnergyPart& p : r.energy) row(EscapeHtml(p.name), p.femtojoules, "");
  row("all", total, "kept");
  return table.Html();
}

std::string Layers(const ChipReport& r) {
  HtmlTable table({{"#"},
                   {"Layer", Column::kName},
                   {"Weights"},
                   {"MACs"},
                   {"Rows"},
                   {"Planes"},
                   {"Rank"},
                   {"Noise"},
                   {"Noise left"},
                   {"Recovered"}});
  for (size_t i = 0; i < r.layers.size(); ++i) {
    const ChipLayer& l = r.layers[i];
    table.Row({Cat(i + 1), Code(l.node), FormatCount(l.weights), FormatCount(l.macs), Cat(l.rows),
               Cat(l.planes), Cat(l.rank), FormatPercent(l.noise), FormatPercent(l.left),
               FormatPercent(1 - l.left / l.noise, 1)});
  }
  return table.Html();
}

std::string Digital(const ChipReport& r) {
  if (r.digital.empty()) return NotesList({});
  return Cat("<details><summary>", Count(r.digital.size(), "product", "products"), "</summary>",
             NotesList(r.digital), "</details>");
}

std::string Settings(const ChipReport& r) {
  if (r.settings.empty()) return NotesList({});
  std::string html = "<ul>";
  for (const auto& [option, value] : r.settings)
    html += Cat("<li>", Code(option), " ", EscapeHtml(value), "</li>\n");
  return html + "</ul>";
}

std::string Stages(const ChipReport& r) {
  return Cat(StageTable(r.stages), "<p>Peak memory ", FormatBytes(r.peak_memory_bytes), "; ",
             Count(r.threads, "thread", "threads"), ", ", EscapeHtml(r.cpu), ".</p>");
}

}  // namespace

std::string ToHtml(const ChipReport& r) {
  return ToHtml(Page{.title = r.model + " on chips that vary",
                     .body = kSimulateHtml,
                     .parts = {{"model", EscapeHtml(r.model)},
                               {"metric_title", Title(r)},
                               {"summary", Summary(r)},
                               {"series", Series(r)},
                               {"energy", Energy(r)},
                               {"assumptions", NotesList(r.assumptions)},
                               {"layers", Layers(r)},
                               {"digital", Digital(r)},
                               {"settings", Settings(r)},
                               {"stages", Stages(r)}},
                     .json = ToJson(r),
                     .script = kSimulateJs});
}

}  // namespace mezzo
