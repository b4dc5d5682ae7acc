// Small pieces of HTML: escaped text, numbers for people, tables, and a template's holes filled.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace mezzo {

// Text that stays text inside an element or a quoted attribute.
std::string EscapeHtml(std::string_view text);

// JSON that stays data inside <script>: the same document with <, > and & written as \u escapes.
std::string EscapeScriptData(std::string_view json);

// "3.142", "1.2e-07"; a dash for NaN and infinities. `digits` are significant ones.
std::string FormatNumber(double v, int digits = 4);
std::string FormatPercent(double share, int decimals = 2);
std::string FormatBytes(double bytes);
std::string FormatCount(double count);  // "4.65 M"
std::string FormatMilliseconds(double ms);
std::string FormatSeconds(double seconds);

// Rows of cells under a head. Cells are HTML: escape what is not yours.
class HtmlTable {
 public:
  enum class Column { kText, kName, kNumber };  // kName breaks anywhere; kNumber is right-aligned
  struct Head {
    std::string title;
    Column column = Column::kNumber;
  };
  explicit HtmlTable(std::vector<Head> heads) : heads_(std::move(heads)) {}

  // `css_class` marks the row; empty for none. Throws UsageError unless there is a cell per column.
  void Row(const std::vector<std::string>& cells, std::string_view css_class = {});
  std::string Html() const;

 private:
  std::vector<Head> heads_;
  std::string rows_;
};

// The template with every {{name}} replaced by fill(name), in one pass: what is filled in is not
// searched for holes.
std::string FillTemplate(std::string_view text,
                         const std::function<std::string(std::string_view)>& fill);

}  // namespace mezzo
