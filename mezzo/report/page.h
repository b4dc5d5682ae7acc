// What the pages of all reports share: the shell around their bodies, and parts that several show.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "mezzo/report/html.h"
#include "mezzo/report/report.h"

namespace mezzo {

struct Page {
  std::string title;                              // text
  std::string_view body;                          // a template
  std::map<std::string_view, std::string> parts;  // HTML for each {{name}} in it
  std::string json;                               // what its script draws from
  std::string script;                             // after that of page/charts.js and page/page.js
};

// Throws UsageError if the body has a hole that no part fills.
std::string ToHtml(const Page& page);

// Names out of a model, as text.
std::string Code(const std::string& name);

// A figure of the summary. All but the class are HTML.
std::string Card(const std::string& title, const std::string& value, const std::string& more,
                 const std::string& css_class = {});
std::string FromTo(const std::string& from, const std::string& to);
// "3.9× smaller"; empty unless both are above zero.
std::string Times(double before, double after, const char* better, const char* worse);

// What a metric's value is, in the words of those who use it, as HTML; the name itself if it is not
// known.
std::string MetricTitle(const std::string& metric, bool higher_is_better);

// Contents of sections.
std::string NotesList(const std::vector<std::string>& notes);
std::string StageTable(const std::vector<ReportStage>& stages);

}  // namespace mezzo
