#include "mezzo/format/codebook.h"

namespace mezzo {
namespace {

constexpr Codebook kCodebooks[] = {
    {"int4", {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7}},
    {"nf4",
     {-1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f,
      -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.0f,
      0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
      0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f}},
    {"nf4i", {-32, -22, -17, -13, -9, -6, -3, 0, 3, 5, 8, 11, 14, 18, 23, 32}},
    {"iq4nl", {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}},
};

}  // namespace

std::span<const Codebook> AllCodebooks() { return kCodebooks; }

const Codebook* FindCodebook(std::string_view name) {
  for (const Codebook& c : kCodebooks)
    if (c.name == name) return &c;
  return nullptr;
}

std::string CodebookNames() {
  std::string names;
  for (const Codebook& c : kCodebooks) names += (names.empty() ? "" : ", ") + std::string(c.name);
  return names;
}

}  // namespace mezzo
