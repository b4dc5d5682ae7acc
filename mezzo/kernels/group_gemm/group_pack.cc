#include <algorithm>
#include <cmath>
#include <cstring>

#include "mezzo/format/half.h"
#include "mezzo/kernels/group_gemm/group_lines.h"

namespace mezzo {
namespace {

// The byte of a group that holds the code of (row, column), and how far up in it.
int64_t CodeByte(int64_t row, int64_t column) { return column / 8 * 64 + row * 4 + column % 4; }
int CodeShift(int64_t column) { return column % 8 < 4 ? 0 : 4; }

}  // namespace

CodeBytes::CodeBytes(const GroupFormat& f)
    : offset(f.zero_points ? 0 : -static_cast<int32_t>(f.codes->values[0])) {
  for (int i = 0; i < 16; ++i)
    bytes[i] =
        static_cast<uint8_t>(f.zero_points ? i : static_cast<int>(f.codes->values[i]) + offset);
}

PackedGroups::PackedGroups(const GroupCodes& w, int64_t group)
    : format_(w.format),
      rows_(w.rows),
      depth_(w.cols),
      group_(group > 0 ? group : w.format.group),
      groups_(depth_ / group_),
      outer_(w.outer) {
  Require(group_ % 8 == 0 && w.format.group % group_ == 0, "groups of ", group_,
          " of four-bit codes with a scale for ", w.format.group,
          ": needs multiples of 8 that divide these");
  group_bytes_ = group_ * 8 + (format_.zero_points ? 48 : 32);
  data_ = Tensor::ForWeights(DType::kUInt8, {panels() * groups_ * group_bytes_});
  packed_ = data_.data<uint8_t>();
  for (int64_t r = 0; r < rows_; ++r)
    for (int64_t g = 0; g < groups_; ++g) PackGroup(w, r, g);
}

void PackedGroups::PackGroup(const GroupCodes& w, int64_t row, int64_t g) {
  auto* to = const_cast<uint8_t*>(Codes(row / kRows, g));
  const int64_t r = row % kRows, first = g * group_;
  const uint8_t* codes = w.codes.data() + row * depth_ + first;
  for (int64_t c = 0; c < group_; c += 8)
    for (int64_t j = 0; j < 4; ++j)
      to[CodeByte(r, c + j)] = static_cast<uint8_t>(codes[c + j] | codes[c + 4 + j] << 4);
  const int64_t from = row * w.groups() + first / w.format.group;
  const uint16_t scale = FloatToBFloat16(w.scales[from]);
  std::memcpy(to + scales_at() + r * 2, &scale, 2);
  if (format_.zero_points) to[zeros_at() + r] = w.zeros[from];
}

bool PackedGroups::HasIntegers(const GroupFormat& format) {
  const auto whole = [](float v) { return v == std::nearbyint(v); };
  if (format.fp8 || format.group > 1024) return false;
  if (format.zero_points) return true;
  return format.codes->Largest() <= kLargest &&
         std::all_of(format.codes->values.begin(), format.codes->values.end(), whole);
}

int PackedGroups::Code(int64_t row, int64_t column) const {
  const int64_t c = column % group_;
  return Codes(row / kRows, column / group_)[CodeByte(row % kRows, c)] >> CodeShift(c) & 15;
}

float PackedGroups::Scale(int64_t row, int64_t g) const {
  uint16_t scale;
  std::memcpy(&scale, Codes(row / kRows, g) + scales_at() + row % kRows * 2, 2);
  return BFloat16ToFloat(scale);
}

int PackedGroups::Zero(int64_t row, int64_t g) const {
  return format_.zero_points ? Codes(row / kRows, g)[zeros_at() + row % kRows] : 0;
}

}  // namespace mezzo
