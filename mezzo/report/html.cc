#include "mezzo/report/html.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "mezzo/base/error.h"

namespace mezzo {
namespace {

constexpr char kDash[] = "\xe2\x80\x93";

// printf's %.*f or %.*g of a finite number.
std::string Print(const char* format, int digits, double v) {
  char text[64];
  std::snprintf(text, sizeof(text), format, digits, v);
  return text;
}

// Three digits and the unit, each a thousand times the one before it.
std::string Scaled(double v, const std::array<const char*, 5>& units) {
  if (!std::isfinite(v)) return kDash;
  size_t unit = 0;
  for (; unit + 1 < units.size() && v >= 999.5; ++unit) v /= 1000;
  return FormatNumber(v, 3) + units[unit];
}

}  // namespace

std::string EscapeHtml(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string EscapeScriptData(std::string_view json) {
  std::string out;
  for (const char c : json) {
    switch (c) {  // outside of strings JSON has none of these
      case '<':
        out += "\\u003c";
        break;
      case '>':
        out += "\\u003e";
        break;
      case '&':
        out += "\\u0026";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string FormatNumber(double v, int digits) {
  return std::isfinite(v) ? Print("%.*g", digits, v) : kDash;
}

std::string FormatPercent(double share, int decimals) {
  if (!std::isfinite(share)) return kDash;
  std::string text = Print("%.*f", decimals, 100 * share);
  const double shown = std::strtod(text.c_str(), nullptr);
  // by rounding, what is there does not become nothing, nor most of it all
  constexpr double kNoise = 1e-9;
  if (shown == 0) text = Print("%.*g", 1, std::fabs(share) < kNoise ? 0 : 100 * share);
  if (shown == 100 && share < 1 - kNoise)
    text = ">" + Print("%.*f", decimals, 100 - std::pow(10, -decimals));
  return text + "%";
}

std::string FormatBytes(double bytes) { return Scaled(bytes, {" B", " kB", " MB", " GB", " TB"}); }

std::string FormatCount(double count) { return Scaled(count, {"", " k", " M", " G", " T"}); }

std::string FormatMilliseconds(double ms) {
  if (!std::isfinite(ms)) return kDash;
  if (ms < 1) return FormatNumber(1000 * ms, 3) + " µs";
  return ms < 1000 ? FormatNumber(ms, 3) + " ms" : FormatNumber(ms / 1000, 3) + " s";
}

std::string FormatSeconds(double seconds) {
  if (!std::isfinite(seconds)) return kDash;
  if (seconds < 120) return FormatMilliseconds(1000 * seconds);
  const auto whole = static_cast<long long>(std::llround(seconds));
  return Cat(whole / 60, " min ", whole % 60, " s");
}

void HtmlTable::Row(const std::vector<std::string>& cells, std::string_view css_class) {
  Require(cells.size() == heads_.size(), "table: ", cells.size(), " cells for ", heads_.size(),
          " columns");
  rows_ += css_class.empty() ? "<tr>" : Cat("<tr class=\"", css_class, "\">");
  for (size_t i = 0; i < cells.size(); ++i) {
    const Column column = heads_[i].column;
    rows_ += column == Column::kNumber ? "<td class=\"n\">"
             : column == Column::kName ? "<td class=\"name\">"
                                       : "<td>";
    rows_ += cells[i] + "</td>";
  }
  rows_ += "</tr>\n";
}

std::string HtmlTable::Html() const {
  // the box scrolls, by keys too, where the page is narrower than the table
  std::string html = "<div class=\"scroll\" tabindex=\"0\"><table><thead><tr>";
  for (const Head& head : heads_)
    html += Cat("<th scope=\"col\"", head.column == Column::kNumber ? " class=\"n\">" : ">",
                EscapeHtml(head.title), "</th>");
  return html + "</tr></thead><tbody>\n" + rows_ + "</tbody></table></div>\n";
}

std::string FillTemplate(std::string_view text,
                         const std::function<std::string(std::string_view)>& fill) {
  std::string out;
  for (;;) {  // a hole that is never closed stays as it is
    const size_t open = text.find("{{");
    const size_t close = text.find("}}", open);
    if (open == text.npos || close == text.npos) return out.append(text);
    out.append(text.substr(0, open));
    out += fill(text.substr(open + 2, close - open - 2));
    text.remove_prefix(close + 2);
  }
}

}  // namespace mezzo
