#include "mezzo/report/page.h"

#include <algorithm>

#include "mezzo/base/error.h"
#include "page_assets.inc"  // the files of page/, see cmake/embed.cmake

namespace mezzo {

std::string ToHtml(const Page& page) {
  const std::string body = FillTemplate(page.body, [&](std::string_view name) {
    const auto it = page.parts.find(name);
    Require(it != page.parts.end(), "report page: nothing fills {{", name, "}}");
    return it->second;
  });
  return FillTemplate(kPageHtml, [&](std::string_view name) -> std::string {
    if (name == "title") return EscapeHtml(page.title);
    if (name == "css") return kPageCss;
    if (name == "body") return body;
    if (name == "json") return EscapeScriptData(page.json);
    Require(name == "script", "report page: nothing fills {{", name, "}}");
    return std::string(kChartsJs) + kPageJs + page.script;
  });
}

std::string Code(const std::string& name) { return "<code>" + EscapeHtml(name) + "</code>"; }

std::string Card(const std::string& title, const std::string& value, const std::string& more,
                 const std::string& css_class) {
  return Cat("<div class=\"card ", css_class, "\"><h2>", title, "</h2><p class=\"big\">", value,
             "</p><p>", more, "</p></div>\n");
}

std::string FromTo(const std::string& from, const std::string& to) {
  return Cat("<span class=\"from\">", from, "</span> <span class=\"arrow\">→</span> ", to);
}

std::string Times(double before, double after, const char* better, const char* worse) {
  if (!(before > 0) || !(after > 0)) return "";
  return Cat(FormatNumber(std::max(before / after, after / before), 3), "× ",
             before >= after ? better : worse);
}

std::string MetricTitle(const std::string& metric, bool higher_is_better) {
  static const std::map<std::string, std::string> kTitles{
      {"classify", "Top-1 accuracy"},
      {"ctc", "Lines read without error"},
      {"similarity", "Spearman correlation"},
      {"psnr", "PSNR, dB"},
      {"agreement", "Top-1 agreement with float"},
      {"sqnr", "SQNR of the outputs, dB"},
      {"kl", "KL divergence, nats"}};
  const auto it = kTitles.find(metric);
  return EscapeHtml(it == kTitles.end() ? metric : it->second) +
         (higher_is_better ? "" : " (less is better)");
}

std::string NotesList(const std::vector<std::string>& notes) {
  if (notes.empty()) return "<p>None.</p>";
  std::string html = "<ul>";
  for (const std::string& note : notes) html += "<li>" + EscapeHtml(note) + "</li>\n";
  return html + "</ul>";
}

std::string StageTable(const std::vector<ReportStage>& stages) {
  HtmlTable table({{"Stage", HtmlTable::Column::kText}, {"Time"}});
  double total = 0;
  for (const ReportStage& s : stages) {
    table.Row({EscapeHtml(s.name), FormatSeconds(s.seconds)});
    total += s.seconds;
  }
  table.Row({"all", FormatSeconds(total)}, "kept");
  return table.Html();
}

}  // namespace mezzo
