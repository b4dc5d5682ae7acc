#include <algorithm>
#include <cstring>
#include <type_traits>

#include "mezzo/base/aligned.h"
#include "mezzo/base/error.h"
#include "mezzo/base/simd.h"
#include "mezzo/kernels/qgemm/quads_pairs.h"
#include "mezzo/kernels/qgemm/quads_product.h"

namespace mezzo {
namespace {

// Four rows of some columns, in one byte each: (columns, 4).
constexpr size_t kMaxBytes = 4 * kQPanel * kMaxQuadVectors;

// Where weights lie, less their zero points.
template <class Code>
struct Source {
  const Code* w;
  size_t row_stride, col_stride;
  std::span<const int32_t> zero;

  // Rows [k, k + rows) of columns [n, n + cols).
  void At(size_t k, size_t rows, size_t n, size_t cols, int16_t* to) const {
    for (size_t c = 0; c < cols; ++c) {
      const int z = zero.empty() ? 0 : zero[zero.size() == 1 ? 0 : n + c];
      const Code* from = w + k * row_stride + (n + c) * col_stride;
      for (size_t r = 0; r < rows; ++r)
        to[4 * c + r] = static_cast<int16_t>(from[r * row_stride] - z);
    }
  }

  // Whether QuadOfRowsAvx512 reads them: 255 less 0 would need three quads.
  bool rows() const {
    return CurrentIsa() >= Isa::kAvx512Vnni && col_stride == 1 && zero.size() <= 1 &&
           UnsignedZero() > 0;
  }
  int UnsignedZero() const {
    return (zero.empty() ? 0 : zero[0]) + (std::is_same_v<Code, int8_t> ? 128 : 0);
  }
  QuadRowsToPack Rows(size_t k, size_t rows, size_t n, size_t cols) const {
    return {reinterpret_cast<const uint8_t*>(w) + k * row_stride + n,
            row_stride,
            rows,
            cols,
            std::is_same_v<Code, int8_t>,
            static_cast<uint8_t>(UnsignedZero())};
  }

  bool fits() const { return std::is_same_v<Code, int8_t> && zero.empty(); }

  // The same as int8, which they must fit, for 4 rows.
  void Take(size_t k, size_t n, size_t cols, int8_t* to) const {
    const Code* from = w + k * row_stride + n * col_stride;
    if (row_stride == 1) {
      for (size_t c = 0; c < cols; ++c) std::memcpy(to + 4 * c, from + c * col_stride, 4);
    } else {
      for (size_t r = 0; r < 4; ++r)
        for (size_t c = 0; c < cols; ++c)
          to[4 * c + r] = static_cast<int8_t>(from[r * row_stride + c * col_stride]);
    }
  }
};

// Quads of a panel, `bytes` weights each, at the end of what is packed.
struct PanelQuads {
  size_t bytes;
  std::vector<int8_t>& w;
  std::vector<uint32_t>& ids;
  size_t w_begin = w.size(), id_begin = ids.size();

  size_t count() const { return ids.size() - id_begin; }

  int8_t* Add(uint32_t id) {
    ids.push_back(id);
    w.resize(w.size() + bytes);
    return &w[w.size() - bytes];
  }

  // Those that add up to the weights `rest`.
  void AddSplit(uint32_t id, int16_t* rest) {
    bool more = true;
    while (more) {
      more = false;
      int8_t* to = Add(id);
      for (size_t i = 0; i < bytes; ++i) {
        to[i] = static_cast<int8_t>(std::clamp<int>(rest[i], -128, 127));
        rest[i] = static_cast<int16_t>(rest[i] - to[i]);
        more |= rest[i] != 0;
      }
    }
  }

  // As PairQuads.
  size_t Pair() {
    std::vector<Quad> quads(count());
    for (size_t q = 0; q < quads.size(); ++q) {
      std::copy_n(&w[w_begin + q * bytes], bytes, quads[q].w.data());
      quads[q].id = ids[id_begin + q];
    }
    const size_t pairs = PairQuads(quads);
    w.resize(w_begin), ids.resize(id_begin);
    for (const Quad& q : quads) std::copy_n(q.w.data(), bytes, Add(q.id));
    return pairs;
  }

  // Adds the sum of each column's weights to sums[0, bytes / 4).
  void Sum(uint32_t* sums) const {
    const __m256i bytes_of_ones = _mm256_set1_epi8(1), ones = _mm256_set1_epi16(1);
    for (size_t q = w_begin; q < w.size(); q += bytes)
      for (size_t i = 0; i < bytes; i += 32) {
        auto* sum = reinterpret_cast<__m256i*>(sums + i / 4);
        const auto* from = reinterpret_cast<const __m256i*>(&w[q + i]);
        const __m256i pairs = _mm256_maddubs_epi16(bytes_of_ones, _mm256_loadu_si256(from));
        _mm256_storeu_si256(
            sum, _mm256_add_epi32(_mm256_loadu_si256(sum), _mm256_madd_epi16(pairs, ones)));
      }
  }
};

}  // namespace

template <class Code>
void QQuads::Fill(const Code* w, size_t row_stride, size_t col_stride,
                  std::span<const int32_t> zero) {
  const Source<Code> source{w, row_stride, col_stride, zero};
  const size_t runs = run_ ? depth_ / run_ : 0, vectors = DivideUp(cols_, kQPanel);
  const size_t count = DivideUp(vectors, lines_->max_vectors);
  sums_.assign(vectors * kQPanel, 0);
  std::vector<int8_t> packed;
  packed.reserve(runs * quads_per_run() * vectors * 4 * kQPanel);
  ids_.reserve(runs * quads_per_run() * count);
  for (size_t i = 0; i < count; ++i) {
    Panel panel{};
    panel.vectors = vectors * (i + 1) / count - vectors * i / count;
    panel.column = vectors * i / count * kQPanel;
    panel.cols = std::min(panel.vectors * kQPanel, cols_ - panel.column);
    panel.id = ids_.size(), panel.w = packed.size();
    PanelQuads quads{4 * kQPanel * panel.vectors, packed, ids_};
    for (size_t r = 0; r < runs; ++r)
      for (size_t at = 0; at < run_; at += 4) {
        const size_t k = r * run_ + at, rows = std::min<size_t>(4, run_ - at);
        const auto id = static_cast<uint32_t>(r * quads_per_run() + at / 4);
        if (source.rows()) {
          alignas(64) int8_t rest[kMaxBytes];
          if (MEZZO_X86(QuadOfRowsAvx512)(source.Rows(k, rows, panel.column, panel.cols),
                                          quads.Add(id), rest))
            std::copy_n(rest, quads.bytes, quads.Add(id));
          continue;
        }
        if (source.fits() && rows == 4) {
          source.Take(k, panel.column, panel.cols, quads.Add(id));
          continue;
        }
        int16_t rest[kMaxBytes] = {};
        source.At(k, rows, panel.column, panel.cols, rest);
        quads.AddSplit(id, rest);
      }
    quads.Sum(&sums_[panel.column]);
    panel.pairs = lines_->pairs ? quads.Pair() : 0;
    panel.singles = quads.count() - 2 * panel.pairs;
    panels_.push_back(panel);
  }
  weights_ = AlignedZeros<int8_t>(packed.size());
  std::copy(packed.begin(), packed.end(), weights_.get());
}

QQuads QQuads::Pack(QCodes w, size_t depth, size_t cols, size_t row_stride, size_t col_stride,
                    std::span<const int32_t> zero, size_t run) {
  Require(zero.size() <= 1 || zero.size() == cols, "qgemm: got ", zero.size(),
          " weight zero points, needs ", cols);
  QQuads p;
  p.lines_ = &QuadLinesOf(std::max(CurrentIsa(), Isa::kAvx2));
  p.depth_ = depth, p.cols_ = cols, p.run_ = run;
  if (w.is_signed)
    p.Fill(static_cast<const int8_t*>(w.data), row_stride, col_stride, zero);
  else
    p.Fill(static_cast<const uint8_t*>(w.data), row_stride, col_stride, zero);
  return p;
}

std::vector<int32_t> QQuads::Column(size_t n) const {
  std::vector<int32_t> column(depth_, 0);
  const auto next = std::upper_bound(panels_.begin(), panels_.end(), n,
                                     [](size_t at, const Panel& p) { return at < p.column; });
  const Panel& panel = *std::prev(next);
  const int8_t* w = weights(panel) + 4 * (n - panel.column);
  for (size_t q = 0; q < panel.quads(); ++q, w += 4 * kQPanel * panel.vectors) {
    const size_t id = ids(panel)[q], at = id % quads_per_run() * 4;
    int32_t* to = column.data() + id / quads_per_run() * run_ + at;
    for (size_t k = 0; k < std::min<size_t>(4, run_ - at); ++k) to[k] += w[k];
  }
  return column;
}

}  // namespace mezzo
