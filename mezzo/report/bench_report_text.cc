// The bench report's table for the terminal.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <numeric>

#include "mezzo/report/bench_report.h"

namespace mezzo {
namespace {

std::string Fixed(double v, int decimals) {
  if (!std::isfinite(v)) return "-";
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", decimals, v);
  return text;
}

// Cells as wide as their column's widest, columns without any left out. The first columns are
// numbers, to the right, the others text, of which the last is as long as it is.
class TextTable {
 public:
  TextTable(size_t numbers, std::vector<std::string> head)
      : numbers_(numbers), rows_{std::move(head)}, used_(rows_[0].size(), false) {}

  void Row(std::vector<std::string> cells) {
    for (size_t c = 0; c < cells.size(); ++c) used_[c] = used_[c] || !cells[c].empty();
    rows_.push_back(std::move(cells));
  }

  std::string Text() const {
    std::vector<size_t> width(used_.size());
    for (const auto& row : rows_)
      for (size_t c = 0; c < row.size(); ++c) width[c] = std::max(width[c], row[c].size());
    std::string text;
    for (const auto& row : rows_) {
      std::string line;
      for (size_t c = 0; c < row.size(); ++c) {
        if (!used_[c]) continue;
        const std::string gap(width[c] - row[c].size(), ' ');
        line += (c ? "  " : "") + (c < numbers_ ? gap + row[c] : row[c] + gap);
      }
      text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
    }
    return text;
  }

 private:
  size_t numbers_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<bool> used_;  // per column
};

// A table that holds every chain of elementwise operators in full would be wider than any screen.
std::string Shortened(std::string text) {
  constexpr size_t kMost = 48;
  if (text.size() <= kMost) return text;
  return text.substr(0, text.rfind(" + ", kMost - 6)) + " + ...";
}

std::vector<std::string> Cells(const BenchLayer& l, double all_ms) {
  std::string shape;
  for (const int64_t d : l.shape) shape += (shape.empty() ? "" : "x") + std::to_string(d);
  return {Fixed(l.ms, all_ms < 1 ? 5 : 3),
          Fixed(100 * l.ms / all_ms, 1),
          l.macs > 0 ? Fixed(l.macs / 1e6, 3) : "-",
          Fixed(l.operations_per_second() / 1e9, 1),
          Fixed(l.bytes / 1e6, 3),
          Fixed(l.bytes_per_second() / 1e9, 1),
          Fixed(100 * l.share_of_roofline(), 1),
          l.op,
          shape,
          Shortened(Fused(l)),
          l.node};
}

std::string PeakLine(const BenchReport& r) {
  return Cat("peak of this machine with ", r.threads,
             r.threads == 1 ? " thread: " : " threads: ", Fixed(2 * r.peak.int8_macs / 1e9, 0),
             " GOP/s int8, ", Fixed(2 * r.peak.float_macs / 1e9, 0), " GOP/s float, ",
             Fixed(r.peak.read_bytes / 1e9, 1), " GB/s from memory (above ",
             Fixed(static_cast<double>(r.peak.cache_bytes) / 1e6, 1), " MB)\n");
}

}  // namespace

std::string ToText(const BenchReport& r) {
  if (r.layers.empty()) return "";
  constexpr double kSmall = 0.002;  // of all time
  const BenchLayer total = Total(r);
  std::vector<size_t> order(r.layers.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater{}, [&](size_t i) { return r.layers[i].ms; });
  TextTable table(7, {"ms", "% time", "MMAC", "GOP/s", "MB", "GB/s", "% peak", "operator", "output",
                      "stands for", "node"});
  BenchReport small;
  for (const size_t i : order) {
    if (r.layers[i].ms > kSmall * total.ms)
      table.Row(Cells(r.layers[i], total.ms));
    else
      small.layers.push_back(r.layers[i]);
  }
  if (!small.layers.empty()) {
    BenchLayer rest = Total(small);
    rest.op = Cat(small.layers.size(), small.layers.size() == 1 ? " other" : " others");
    rest.node = "";
    table.Row(Cells(rest, total.ms));
  }
  BenchLayer all = total;
  all.op = "all", all.node = "";
  table.Row(Cells(all, total.ms));
  return PeakLine(r) + table.Text() +
         Cat("the layers' medians add up to ", Fixed(total.ms, total.ms < 1 ? 5 : 3), " ms, ",
             Fixed(100 * total.ms / r.median_ms, 1), "% of the median run\n");
}

}  // namespace mezzo
