#include "mezzo/kernels/qgemm/quads_pairs.h"

#include <algorithm>
#include <numeric>

#include "mezzo/base/simd.h"

namespace mezzo {
namespace {

constexpr int kBound = 128;  // of the weights of one sign in a 16-bit sum
constexpr char kBoundByte = static_cast<char>(kBound);

// Pairs are looked for among so many quads: nearly all find one, and the time stays linear.
constexpr size_t kWindow = 128;

__m256i Load(const void* p) { return _mm256_load_si256(static_cast<const __m256i*>(p)); }

// How much of the bounds each half of a column takes: of the positive one and of the negative one,
// in any order that is the same for all quads.
struct Load64 {
  alignas(32) std::array<uint8_t, 4 * kQPanel> of;
  uint32_t weight;  // how hard it will be to find a partner
  bool fits;        // the bounds

  explicit Load64(const Quad& q) {
    const __m256i none = _mm256_setzero_si256(), ones = _mm256_set1_epi8(1);
    __m256i over = none, sum = none;
    for (size_t i = 0; i < q.w.size(); i += 32) {
      const __m256i v = Load(q.w.data() + i);
      const __m256i positive = _mm256_maddubs_epi16(_mm256_max_epi8(v, none), ones);
      const __m256i negative =
          _mm256_maddubs_epi16(_mm256_sub_epi8(none, _mm256_min_epi8(v, none)), ones);
      const __m256i loads = _mm256_packus_epi16(positive, negative);
      _mm256_store_si256(reinterpret_cast<__m256i*>(of.data() + i), loads);
      over = _mm256_or_si256(over, _mm256_subs_epu8(loads, _mm256_set1_epi8(kBoundByte)));
      for (const __m256i l : {positive, negative}) {  // to the fourth power
        const __m256i square = _mm256_srli_epi16(_mm256_mullo_epi16(l, l), 4);
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(square, square));
      }
    }
    alignas(32) std::array<uint32_t, 8> sums;
    _mm256_store_si256(reinterpret_cast<__m256i*>(sums.data()), sum);
    weight = std::accumulate(sums.begin(), sums.end(), uint32_t{0});
    fits = _mm256_testz_si256(over, over);
  }
};

// Leaves of the two weights of a half what the bounds allow.
void TakeHalf(int8_t* w, int8_t* rest) {
  const int x = w[0];
  int y = w[1];
  if (x > 0) y = std::min(y, kBound - x);
  if (x < 0) y = std::max(y, -kBound - x);
  rest[0] = 0, rest[1] = static_cast<int8_t>(w[1] - y);
  w[1] = static_cast<int8_t>(y);
}

bool CanShare(const Load64& a, const Load64& b) {
  const auto excess = [&](size_t i) {
    return _mm256_subs_epu8(_mm256_adds_epu8(Load(a.of.data() + i), Load(b.of.data() + i)),
                            _mm256_set1_epi8(kBoundByte));
  };
  const __m256i any = _mm256_or_si256(excess(0), excess(32));
  return _mm256_testz_si256(any, any);
}

// Puts partners of loads[begin, end) side by side in `pairs` and the others in `singles`: the
// heaviest takes the heaviest that it can share with.
void Match(const std::vector<Load64>& loads, size_t begin, size_t end,
           std::vector<std::array<uint32_t, 2>>& pairs, std::vector<uint32_t>& singles) {
  std::vector<uint32_t> open(end - begin);
  std::iota(open.begin(), open.end(), begin);
  std::stable_sort(open.begin(), open.end(),
                   [&](uint32_t a, uint32_t b) { return loads[a].weight > loads[b].weight; });
  while (!open.empty()) {
    const uint32_t first = open.front();
    open.erase(open.begin());
    const auto partner = std::find_if(open.begin(), open.end(), [&](uint32_t other) {
      return CanShare(loads[first], loads[other]);
    });
    if (partner == open.end()) {
      singles.push_back(first);
      continue;
    }
    pairs.push_back({std::min(first, *partner), std::max(first, *partner)});
    open.erase(partner);
  }
}

}  // namespace

size_t PairQuads(std::vector<Quad>& quads) {
  std::vector<Quad> split;
  std::vector<Load64> loads;
  for (const Quad& q : quads) {
    split.push_back(q);
    loads.emplace_back(q);
    if (loads.back().fits) continue;
    Quad rest{{}, q.id};
    for (size_t h = 0; h < rest.w.size(); h += 2) TakeHalf(&split.back().w[h], &rest.w[h]);
    loads.back() = Load64(split.back());
    split.push_back(rest);
    loads.emplace_back(rest);
  }
  std::vector<std::array<uint32_t, 2>> pairs;
  std::vector<uint32_t> singles;
  for (size_t begin = 0; begin < split.size(); begin += kWindow)
    Match(loads, begin, std::min(split.size(), begin + kWindow), pairs, singles);
  // in the order of memory, which processors read ahead
  std::sort(pairs.begin(), pairs.end());
  std::sort(singles.begin(), singles.end());
  quads.clear();
  for (const auto& pair : pairs)
    for (const uint32_t q : pair) quads.push_back(split[q]);
  for (const uint32_t q : singles) quads.push_back(split[q]);
  return pairs.size();
}

}  // namespace mezzo
