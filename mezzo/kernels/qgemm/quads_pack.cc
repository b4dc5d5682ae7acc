#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <type_traits>

#include "mezzo/base/aligned.h"
#include "mezzo/base/error.h"
#include "mezzo/kernels/qgemm/quads.h"

namespace mezzo {
namespace {

constexpr int kBound = 128;  // of the weights of one sign in a 16-bit sum
constexpr char kBoundByte = static_cast<char>(kBound);

// Pairs are looked for among so many quads: nearly all find one, and the time stays linear.
constexpr size_t kWindow = 128;

// Four rows of a panel: (columns, 4).
using Values = std::array<int16_t, 4 * kQPanel>;

__m256i Load(const void* p) { return _mm256_load_si256(static_cast<const __m256i*>(p)); }

// Weights, and how much of the bounds each half of a column takes: of the positive one and of the
// negative one, in any order that is the same for all quads.
struct Quad {
  alignas(32) std::array<int8_t, 4 * kQPanel> w;
  alignas(32) std::array<uint8_t, 4 * kQPanel> load;
  uint32_t id;
  uint32_t weight;  // how hard it will be to find a partner

  // Fills `load` and `weight`; whether the bounds are kept.
  bool Measure() {
    const __m256i none = _mm256_setzero_si256(), ones = _mm256_set1_epi8(1);
    __m256i over = none, sum = none;
    for (size_t i = 0; i < w.size(); i += 32) {
      const __m256i v = Load(w.data() + i);
      const __m256i positive = _mm256_maddubs_epi16(_mm256_max_epi8(v, none), ones);
      const __m256i negative =
          _mm256_maddubs_epi16(_mm256_sub_epi8(none, _mm256_min_epi8(v, none)), ones);
      const __m256i loads = _mm256_packus_epi16(positive, negative);
      _mm256_store_si256(reinterpret_cast<__m256i*>(load.data() + i), loads);
      over = _mm256_or_si256(over, _mm256_subs_epu8(loads, _mm256_set1_epi8(kBoundByte)));
      for (const __m256i l : {positive, negative}) {  // to the fourth power
        const __m256i square = _mm256_srli_epi16(_mm256_mullo_epi16(l, l), 4);
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(square, square));
      }
    }
    alignas(32) std::array<uint32_t, 8> sums;
    _mm256_store_si256(reinterpret_cast<__m256i*>(sums.data()), sum);
    weight = std::accumulate(sums.begin(), sums.end(), uint32_t{0});
    return _mm256_testz_si256(over, over);
  }
};

// Takes from the weights a, b of a half what the bounds allow.
void TakeHalf(int16_t& a, int16_t& b, int8_t* w) {
  const int x = std::clamp<int>(a, -kBound, kBound - 1);
  int y = std::clamp<int>(b, -kBound, kBound - 1);
  if (x > 0) y = std::min(y, kBound - x);
  if (x < 0) y = std::max(y, -kBound - x);
  a = static_cast<int16_t>(a - x), b = static_cast<int16_t>(b - y);
  w[0] = static_cast<int8_t>(x), w[1] = static_cast<int8_t>(y);
}

// The quads that add up to the weights `rest`.
void Split(Values rest, uint32_t id, std::vector<Quad>& quads) {
  do {
    Quad& q = quads.emplace_back();
    q.id = id;
    for (size_t h = 0; h < 2 * kQPanel; ++h) TakeHalf(rest[2 * h], rest[2 * h + 1], &q.w[2 * h]);
    q.Measure();
  } while (std::any_of(rest.begin(), rest.end(), [](int16_t v) { return v != 0; }));
}

bool CanShare(const Quad& a, const Quad& b) {
  const auto excess = [&](size_t i) {
    return _mm256_subs_epu8(_mm256_adds_epu8(Load(a.load.data() + i), Load(b.load.data() + i)),
                            _mm256_set1_epi8(kBoundByte));
  };
  const __m256i any = _mm256_or_si256(excess(0), excess(32));
  return _mm256_testz_si256(any, any);
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

// Where weights lie, less their zero points.
template <class Code>
struct Source {
  const Code* w;
  size_t row_stride, col_stride;
  std::span<const int32_t> zero;

  // Rows [k, k + rows) of columns [n, n + cols).
  Values At(size_t k, size_t rows, size_t n, size_t cols) const {
    Values v{};
    for (size_t c = 0; c < cols; ++c) {
      const int z = zero.empty() ? 0 : zero[zero.size() == 1 ? 0 : n + c];
      const Code* from = w + k * row_stride + (n + c) * col_stride;
      for (size_t r = 0; r < rows; ++r)
        v[4 * c + r] = static_cast<int16_t>(from[r * row_stride] - z);
    }
    return v;
  }

  // The same as int8, if that is what they are and there are 4 rows and 16 columns.
  bool Take(size_t k, size_t rows, size_t n, size_t cols, int8_t* to) const {
    if (!std::is_same_v<Code, int8_t> || !zero.empty() || rows < 4 || cols < kQPanel) return false;
    const Code* from = w + k * row_stride + n * col_stride;
    if (row_stride == 1) {
      for (size_t c = 0; c < kQPanel; ++c) std::memcpy(to + 4 * c, from + c * col_stride, 4);
    } else {
      for (size_t r = 0; r < 4; ++r)
        for (size_t c = 0; c < kQPanel; ++c)
          to[4 * c + r] = static_cast<int8_t>(from[r * row_stride + c * col_stride]);
    }
    return true;
  }
};

// Adds the sum of each column's four weights to sums[0..15].
void AddSums(const Quad& q, uint32_t* sums) {
  const __m256i bytes = _mm256_set1_epi8(1), words = _mm256_set1_epi16(1);
  for (size_t i = 0; i < 2; ++i) {
    auto* sum = reinterpret_cast<__m256i*>(sums + 8 * i);
    const __m256i pairs = _mm256_maddubs_epi16(bytes, Load(q.w.data() + 32 * i));
    _mm256_storeu_si256(sum,
                        _mm256_add_epi32(_mm256_loadu_si256(sum), _mm256_madd_epi16(pairs, words)));
  }
}

}  // namespace

template <class Code>
void QQuads::Fill(const Code* w, size_t row_stride, size_t col_stride,
                  std::span<const int32_t> zero) {
  const Source<Code> source{w, row_stride, col_stride, zero};
  const size_t count = (cols_ + kQPanel - 1) / kQPanel, runs = run_ ? depth_ / run_ : 0;
  sums_.assign(count * kQPanel, 0);
  std::vector<int8_t> packed;
  std::vector<Quad> quads;
  for (size_t first = 0; first < cols_; first += kQPanel) {
    const size_t cols = std::min(kQPanel, cols_ - first);
    quads.clear();
    for (size_t r = 0; r < runs; ++r)
      for (size_t at = 0; at < run_; at += 4) {
        const size_t k = r * run_ + at, rows = std::min<size_t>(4, run_ - at);
        const auto id = static_cast<uint32_t>(r * quads_per_run() + at / 4);
        Quad& q = quads.emplace_back();
        q.id = id;
        if (source.Take(k, rows, first, cols, q.w.data()) && q.Measure()) continue;
        quads.pop_back();
        Split(source.At(k, rows, first, cols), id, quads);
      }
    for (const Quad& q : quads) AddSums(q, &sums_[first]);
    std::vector<std::array<uint32_t, 2>> pairs;
    std::vector<uint32_t> order, singles;
    for (size_t begin = 0; begin < quads.size(); begin += kWindow)
      Match(quads, begin, std::min(quads.size(), begin + kWindow), pairs, singles);
    panels_.push_back({ids_.size(), pairs.size(), singles.size()});
    // in the order of memory, which processors read ahead
    std::sort(pairs.begin(), pairs.end());
    std::sort(singles.begin(), singles.end());
    for (const auto& pair : pairs) order.insert(order.end(), pair.begin(), pair.end());
    order.insert(order.end(), singles.begin(), singles.end());
    for (const uint32_t q : order) {
      ids_.push_back(quads[q].id);
      packed.insert(packed.end(), quads[q].w.begin(), quads[q].w.end());
    }
  }
  weights_ = AlignedZeros<int8_t>(packed.size());
  std::copy(packed.begin(), packed.end(), weights_.get());
}

QQuads QQuads::Pack(QCodes w, size_t depth, size_t cols, size_t row_stride, size_t col_stride,
                    std::span<const int32_t> zero, size_t run) {
  Require(zero.size() <= 1 || zero.size() == cols, "qgemm: got ", zero.size(),
          " weight zero points, needs ", cols);
  QQuads p;
  p.depth_ = depth, p.cols_ = cols, p.run_ = run;
  if (w.is_signed)
    p.Fill(static_cast<const int8_t*>(w.data), row_stride, col_stride, zero);
  else
    p.Fill(static_cast<const uint8_t*>(w.data), row_stride, col_stride, zero);
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
