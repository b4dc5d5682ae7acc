#include "mezzo/algorithm/grid.h"

#include <algorithm>

namespace mezzo {

ActivationPlan MakeGrid(const Histogram& h, GridRule rule, IntFormat f, const Range* live) {
  rule.symmetric &= h.min() < 0;
  ActivationPlan a;
  a.calibration = rule.calibration;
  a.symmetric = rule.symmetric;
  const int levels = f.qmax() - f.qmin() + (rule.symmetric ? 0 : 1);
  Range r = Calibrate(h, rule.calibration, rule.symmetric, levels);
  if (live && !rule.symmetric) r = {std::max(r.lo, live->lo), std::min(r.hi, live->hi)};
  a.lo = r.lo;
  a.hi = r.hi;
  if (rule.symmetric) {
    const int32_t middle = f.is_signed ? 0 : 1 << (f.bits - 1);
    a.qparams = {SymmetricQParams(IntFormat{f.bits, true, true}, r.hi).scale, middle};
  } else {
    a.qparams = AsymmetricQParams(f, r.lo, r.hi);
  }
  return a;
}

RuleGrids MakeGrids(const std::map<std::string, Histogram>& histograms,
                    const std::map<std::string, Range>& live, const std::vector<GridRule>& rules,
                    IntFormat format, const Threads& threads) {
  std::vector<std::string> names;
  for (const auto& [name, h] : histograms) names.push_back(name);
  std::vector<std::vector<ActivationPlan>> grids(names.size());
  threads.Each(names.size(), [&](size_t i, size_t) {
    const auto l = live.find(names[i]);
    for (const GridRule& rule : rules)
      grids[i].push_back(
          MakeGrid(histograms.at(names[i]), rule, format, l == live.end() ? nullptr : &l->second));
  });
  RuleGrids all;
  for (size_t r = 0; r < rules.size(); ++r)
    for (size_t i = 0; i < names.size(); ++i) all[rules[r].Name()][names[i]] = grids[i][r];
  return all;
}

}  // namespace mezzo
