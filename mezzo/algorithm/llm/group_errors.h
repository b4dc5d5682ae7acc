// What rounding a group of columns to given scales costs: the search for scales asks it of each.
#pragma once

#include <cstdint>

namespace mezzo {

// The values of a group's codes for rows that go together, and the middles between neighbours.
struct GroupTable {
  static constexpr int64_t kRows = 16;  // a panel of Sgemm's

  alignas(64) float value[16][kRows];
  alignas(64) float middle[15][kRows];
};

// sum[r] = sum over k < columns of weight[k] * (w[k][r] - the nearest value)^2, w (columns, kRows).
using GroupErrors = void(const GroupTable& t, const float* w, const float* weight, int64_t columns,
                         float* sum);
GroupErrors GroupErrorsAvx2, GroupErrorsAvx512;  // the same bits

}  // namespace mezzo
