#include <algorithm>
#include <array>
#include <numeric>

#include "mezzo/base/aligned.h"
#include "mezzo/base/error.h"
#include "mezzo/kernels/qgemm/quads.h"

namespace mezzo {
namespace {

constexpr int kBound = 128;  // of the weights of one sign in a 16-bit sum

// Pairs are looked for among so many quads: nearly all find one, and the time stays linear.
constexpr size_t kWindow = 128;

// Four rows of a panel, and how much of the bounds each column's halves take: of the positive
// bound, then of the negative one.
struct Quad {
  std::array<int8_t, 4 * kQPanel> w;
  std::array<uint8_t, 4 * kQPanel> load;
  uint32_t id;
  uint64_t weight;  // how hard it will be to find a partner
};

// Takes from the weights a, b of a half what the bounds allow.
void TakeHalf(int32_t& a, int32_t& b, int8_t* w, uint8_t& positive, uint8_t& negative) {
  const int32_t x = std::clamp(a, -kBound, kBound - 1);
  int32_t y = std::clamp(b, -kBound, kBound - 1);
  if (x > 0) y = std::min(y, kBound - x);
  if (x < 0) y = std::max(y, -kBound - x);
  a -= x, b -= y;
  w[0] = static_cast<int8_t>(x), w[1] = static_cast<int8_t>(y);
  positive = static_cast<uint8_t>(std::max(x, 0) + std::max(y, 0));
  negative = static_cast<uint8_t>(-std::min(x, 0) - std::min(y, 0));
}

// The quads that add up to the weights `rest`, four a column.
void Split(std::array<int32_t, 4 * kQPanel>& rest, uint32_t id, std::vector<Quad>& quads) {
  do {
    Quad q;
    q.id = id;
    q.weight = 0;
    for (size_t h = 0; h < 2 * kQPanel; ++h)
      TakeHalf(rest[2 * h], rest[2 * h + 1], &q.w[2 * h], q.load[h], q.load[2 * kQPanel + h]);
    for (const uint8_t l : q.load) q.weight += uint64_t{l} * l * l * l;
    quads.push_back(q);
  } while (std::any_of(rest.begin(), rest.end(), [](int32_t v) { return v != 0; }));
}

bool CanShare(const Quad& a, const Quad& b) {
  uint8_t bad = 0;
  for (size_t i = 0; i < a.load.size(); ++i)
    bad |= static_cast<uint8_t>(a.load[i] > static_cast<uint8_t>(kBound - b.load[i]));
  return !bad;
}

// Puts partners of quads[begin, end) side by side in `pairs` and the others in `singles`: the
// heaviest takes the heaviest that it can share with.
void Match(const std::vector<Quad>& quads, size_t begin, size_t end,
           std::vector<std::array<uint32_t, 2>>& pairs, std::vector<uint32_t>& singles) {
  std::vector<uint32_t> open(end - begin);
  std::iota(open.begin(), open.end(), begin);
  std::stable_sort(open.begin(), open.end(),
                   [&](uint32_t a, uint32_t b) { return quads[a].weight > quads[b].weight; });
  while (!open.empty()) {
    const uint32_t first = open.front();
    open.erase(open.begin());
    const auto partner = std::find_if(open.begin(), open.end(), [&](uint32_t other) {
      return CanShare(quads[first], quads[other]);
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

QQuads QQuads::Pack(QCodes w, size_t depth, size_t cols, size_t row_stride, size_t col_stride,
                    std::span<const int32_t> zero, size_t run) {
  Require(zero.size() <= 1 || zero.size() == cols, "qgemm: got ", zero.size(),
          " weight zero points, needs ", cols);
  QQuads p;
  p.depth_ = depth, p.cols_ = cols, p.run_ = run;
  const size_t panels = (cols + kQPanel - 1) / kQPanel, runs = run ? depth / run : 0;
  p.sums_.assign(panels * kQPanel, 0);
  std::vector<int8_t> packed;
  for (size_t panel = 0; panel < panels; ++panel) {
    std::vector<Quad> quads;
    const size_t first = panel * kQPanel, count = std::min(kQPanel, cols - first);
    for (size_t r = 0; r < runs; ++r) {
      for (size_t at = 0; at < run; at += 4) {
        std::array<int32_t, 4 * kQPanel> rest{};
        for (size_t n = 0; n < count; ++n) {
          const int32_t z = zero.empty() ? 0 : zero[zero.size() == 1 ? 0 : first + n];
          for (size_t k = 0; k < std::min<size_t>(4, run - at); ++k) {
            rest[4 * n + k] = w[(r * run + at + k) * row_stride + (first + n) * col_stride] - z;
            p.sums_[first + n] += static_cast<uint32_t>(rest[4 * n + k]);
          }
        }
        Split(rest, static_cast<uint32_t>(r * p.quads_per_run() + at / 4), quads);
      }
    }
    std::vector<std::array<uint32_t, 2>> pairs;
    std::vector<uint32_t> order, singles;
    for (size_t begin = 0; begin < quads.size(); begin += kWindow)
      Match(quads, begin, std::min(quads.size(), begin + kWindow), pairs, singles);
    p.panels_.push_back({p.ids_.size(), pairs.size(), singles.size()});
    // in the order of memory, which processors read ahead
    std::sort(pairs.begin(), pairs.end());
    std::sort(singles.begin(), singles.end());
    for (const auto& pair : pairs) order.insert(order.end(), pair.begin(), pair.end());
    order.insert(order.end(), singles.begin(), singles.end());
    for (const uint32_t q : order) {
      p.ids_.push_back(quads[q].id);
      packed.insert(packed.end(), quads[q].w.begin(), quads[q].w.end());
    }
  }
  p.weights_ = AlignedZeros<int8_t>(packed.size());
  std::copy(packed.begin(), packed.end(), p.weights_.get());
  return p;
}

std::vector<int32_t> QQuads::Column(size_t n) const {
  std::vector<int32_t> column(depth_, 0);
  const Panel& panel = panels_[n / kQPanel];
  for (size_t q = panel.begin; q < panel.begin + panel.quads(); ++q) {
    const size_t at = *ids(q) % quads_per_run() * 4;
    int32_t* to = column.data() + *ids(q) / quads_per_run() * run_ + at;
    for (size_t k = 0; k < std::min<size_t>(4, run_ - at); ++k)
      to[k] += weights(q)[n % kQPanel * 4 + k];
  }
  return column;
}

}  // namespace mezzo
