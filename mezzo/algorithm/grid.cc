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

}  // namespace mezzo
