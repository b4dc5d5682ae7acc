#include "mezzo/cli/budgets.h"

#include <cmath>
#include <cstdlib>
#include <map>
#include <set>

#include "mezzo/base/error.h"

namespace mezzo {

BudgetText ParseBudget(const std::string& text) {
  static const std::map<std::string, std::map<std::string, double>> kUnits{
      {"size",
       {{"", 1},
        {"B", 1},
        {"kB", 1e3},
        {"MB", 1e6},
        {"GB", 1e9},
        {"KiB", 1 << 10},
        {"MiB", 1 << 20},
        {"GiB", 1 << 30}}},
      {"bops", {{"", 1}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12}}},
      {"latency", {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}}}};
  const size_t equals = text.find('=');
  const std::string name = text.substr(0, equals);
  const auto units = kUnits.find(name);
  Require(equals != std::string::npos && units != kUnits.end(), "--budget: got ", text,
          ", needs size=, bops= or latency=");
  const char* number = text.c_str() + equals + 1;
  char* end;
  const double value = std::strtod(number, &end);
  const std::string unit = end;
  Require(end != number && std::isfinite(value) && value > 0, "--budget: got ", text,
          ", needs a number above 0");
  if (unit == "%") return {name, value / 100, true};
  const auto factor = units->second.find(unit);
  std::string known;
  for (const auto& [u, f] : units->second) known += u.empty() ? "" : u + ", ";
  Require(factor != units->second.end(), "--budget: got ", text, ", needs one of the units ", known,
          "or %");
  return {name, value * factor->second, false};
}

std::vector<BudgetText> ParseBudgets(const std::vector<std::string>& texts) {
  Require(!texts.empty(), "--budget is required: size=45%, bops=10% or latency=12ms");
  std::vector<BudgetText> budgets;
  std::set<std::string> names;
  for (const std::string& text : texts) {
    budgets.push_back(ParseBudget(text));
    Require(names.insert(budgets.back().name).second, "--budget: ", budgets.back().name,
            " comes twice");
  }
  return budgets;
}

}  // namespace mezzo
