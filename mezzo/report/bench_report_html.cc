// The page of a network's layers: what can be read without a script is made here; the script draws
// the charts from the JSON that the page carries.
#include <cmath>
#include <filesystem>

#include "mezzo/base/error.h"
#include "mezzo/report/bench_report.h"
#include "mezzo/report/page.h"
#include "page_assets.inc"  // the files of page/, see cmake/embed.cmake

namespace mezzo {
namespace {

using Column = HtmlTable::Column;

std::string Giga(double v, const char* unit) {
  return FormatNumber(v / 1e9, 3) + (std::isfinite(v) ? Cat("&nbsp;", unit) : "");
}

std::string Summary(const BenchReport& r, const BenchLayer& total) {
  return Card("Median of a run", FormatMilliseconds(r.median_ms),
              Cat(r.quantized ? "int8" : "float", "; fastest of ", r.runs, " runs ",
                  FormatMilliseconds(r.min_ms), ", first ", FormatMilliseconds(r.first_ms),
                  ", load ", FormatMilliseconds(r.load_ms))) +
         Card("Sum of the layers", FormatMilliseconds(total.ms),
              FormatPercent(total.ms / r.median_ms, 1) + " of the median run") +
         Card("GOP/s", FormatNumber(total.operations_per_second() / 1e9, 3),
              Cat(FormatCount(total.macs), " multiply-adds; ",
                  FormatPercent(total.share_of_roofline(), 1), " of the roofline")) +
         Card("Peak of this machine", Giga(2 * r.peak.int8_macs, "GOP/s int8"),
              Cat(Giga(2 * r.peak.float_macs, "GOP/s float"), ", ",
                  Giga(r.peak.read_bytes, "GB/s from memory")));
}

std::string Layers(const BenchReport& r, const BenchLayer& total) {
  HtmlTable table({{"#"},
                   {"Node", Column::kName},
                   {"Output", Column::kText},
                   {"ms"},
                   {"Time"},
                   {"MACs"},
                   {"GOP/s"},
                   {"Bytes"},
                   {"GB/s"},
                   {"Roofline"}});
  for (size_t i = 0; i < r.layers.size(); ++i) {
    const BenchLayer& l = r.layers[i];
    const std::string fused = Fused(l);
    table.Row({Cat(i + 1),
               Cat(Code(l.node), "<br><small>", EscapeHtml(l.op), fused.empty() ? "" : " for ",
                   EscapeHtml(fused), "</small>"),
               EscapeHtml(Cat(l.type, ToString(l.shape))), FormatNumber(l.ms, 3),
               FormatPercent(l.ms / total.ms, 1), FormatCount(l.macs > 0 ? l.macs : NAN),
               FormatNumber(l.operations_per_second() / 1e9, 3), FormatBytes(l.bytes),
               FormatNumber(l.bytes_per_second() / 1e9, 3),
               FormatPercent(l.share_of_roofline(), 1)});
  }
  return table.Html();
}

}  // namespace

std::string ToHtml(const BenchReport& r) {
  const BenchLayer total = Total(r);
  const std::string model = std::filesystem::path(r.model).filename().string();
  return ToHtml(
      Page{.title = "Layers of " + model,
           .body = kBenchHtml,
           .parts = {{"model", EscapeHtml(model)},
                     {"summary", Summary(r, total)},
                     {"layers", Layers(r, total)},
                     {"machine",
                      Cat(r.threads, r.threads == 1 ? " thread, " : " threads, ", EscapeHtml(r.cpu),
                          "; peak memory ", FormatBytes(r.peak_memory_bytes))}},
           .json = ToJson(r),
           .script = kBenchJs});
}

}  // namespace mezzo
