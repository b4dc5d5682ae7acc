// AVX512-VNNI: vpdpbusd of 512 bits. A tile keeps up to 24 sums in registers: 6 rows of 64 columns,
// 8 of 48, 12 of 32 or of 16. Compiled for AVX-512 (CMakeLists.txt).
#include <cmath>

#include "mezzo/base/cpu.h"
#include "mezzo/kernels/qgemm/qgemm_avx512.h"
#include "mezzo/kernels/qgemm/quads_vnni.h"

namespace mezzo {
namespace {

struct Avx512Vnni {
  using Vector = __m512i;
  static constexpr int kLanes = 16;

  MEZZO_INLINE static Vector Zero() { return _mm512_setzero_si512(); }
  MEZZO_INLINE static Vector Sum(Vector a, Vector b) { return _mm512_add_epi32(a, b); }
  MEZZO_INLINE static Vector Load(const void* from) { return _mm512_loadu_si512(from); }
  MEZZO_INLINE static Vector Broadcast(const uint8_t* codes) { return BroadcastAvx512(codes); }
  MEZZO_INLINE static void Dot(Vector& acc, Vector x, Vector w) { DotAvx512(acc, x, w); }
};

// How a strip's sums become what is stored.
enum class Mode {
  kRelu,   // QOutput::IsRelu
  kCodes,  // QOutput::bounded
  kResidual,
  kPlainResidual,  // IsPlain
  kFloat,
  kAnything,
};

// What follows the sums of V vectors of columns, made once a strip.
template <int V>
class Stage {
 public:
  explicit Stage(const QuadStrip& s)
      : s_(s),
        out_(*s.out),
        columns_(FirstBytesAvx512(s.cols)),
        lo_(_mm512_set1_ps(static_cast<float>(out_.lo - out_.zero_point))),
        hi_(_mm512_set1_ps(static_cast<float>(out_.hi - out_.zero_point))) {
    if (s.residual) {
      const QBinaryParams& p = s.residual->params;
      ra_ = _mm512_set1_ps(p.a_ratio), rb_ = _mm512_set1_ps(p.b_ratio);
      to_a_ = _mm512_set1_ps(static_cast<float>(out_.zero_point - p.a_zero));
      b_zero_ = _mm512_set1_ps(static_cast<float>(p.b_zero));
      sum_hi_ = _mm512_set1_ps(static_cast<float>(p.hi - p.y_zero));
    }
    if (out_.kind == QOutput::Kind::kInt32) return;
    Unrolled<V>([&](auto v) MEZZO_INLINE {
      scale_[v] = _mm512_loadu_ps(out_.scale.data() + s.channel + 16 * v);
    });
  }

  Mode mode() const {
    if (out_.kind == QOutput::Kind::kFloat) return Mode::kFloat;
    if (!out_.bounded) return Mode::kAnything;
    if (s_.residual) return IsPlain(*s_.residual) ? Mode::kPlainResidual : Mode::kResidual;
    return out_.IsRelu() ? Mode::kRelu : Mode::kCodes;
  }

  template <Mode kMode, int R>
  MEZZO_INLINE void Store(const VnniSums<Avx512Vnni, R, V>& sums, size_t first) const {
    if constexpr (kMode == Mode::kRelu || kMode == Mode::kCodes) {
      StoreCodes<kMode == Mode::kRelu, R>(first, {out_.zero_point, out_.lo, out_.hi},
                                          [&](auto r, auto v) MEZZO_INLINE {
                                            return _mm512_cvtps_epi32(Scaled(v, sums.at[r][v]));
                                          });
    } else if constexpr (kMode == Mode::kFloat) {
      const float* offset = out_.has_offset ? out_.offset.data() + s_.channel : nullptr;
      Unrolled<R>([&](auto r) MEZZO_INLINE {
        char* y = s_.y + (first + r) * s_.y_step;
        Unrolled<V>([&](auto v) MEZZO_INLINE {
          __m512 value = Scaled(v, sums.at[r][v]);
          if (offset) value = _mm512_add_ps(value, _mm512_loadu_ps(offset + 16 * v));
          _mm512_mask_storeu_ps(y + 64 * v, Columns(v), value);
        });
      });
    } else {
      const QBinaryParams& p = s_.residual->params;
      StoreCodes<kMode == Mode::kPlainResidual, R>(
          first, {p.y_zero, p.lo, p.hi}, [&](auto r, auto v) MEZZO_INLINE {
            return Added<kMode == Mode::kPlainResidual>(first + r, v, Scaled(v, sums.at[r][v]));
          });
    }
  }

  // Integers, and codes of any kind, for sums in memory, a row at a time.
  void StoreRow(const __m512i (&sums)[V], size_t row) const {
    if (out_.kind == QOutput::Kind::kInt32) {
      for (int v = 0; v < V; ++v)
        _mm512_mask_storeu_epi32(s_.y + row * s_.y_step + 64 * v, Columns(v), sums[v]);
      return;
    }
    __m512i codes[V];
    for (int v = 0; v < V; ++v) {
      __m512 value = Scaled(v, sums[v]);
      if (out_.has_offset)
        value = _mm512_add_ps(value, _mm512_loadu_ps(out_.offset.data() + s_.channel + 16 * v));
      codes[v] =
          s_.residual ? Added<false>(row, v, value) : _mm512_cvtps_epi32(_mm512_min_ps(value, hi_));
    }
    const CodeRange range = s_.residual ? CodeRange{s_.residual->params.y_zero,
                                                    s_.residual->params.lo, s_.residual->params.hi}
                                        : CodeRange{out_.zero_point, out_.lo, out_.hi};
    StoreCodes<false, 1>(row, range, [&](auto, auto v) { return codes[v]; });
  }

 private:
  struct CodeRange {
    int32_t zero, lo, hi;
  };
  // Its Relu makes all of uint8, no zero point is left, and sums fit 32 bits, from where packing
  // cuts them off.
  bool IsPlain(const QResidual& r) const {
    const QBinaryParams& p = r.params;
    return p.y_zero == 0 && p.lo == 0 && p.hi == 255 && p.b_zero == 0 && !r.b.is_signed &&
           p.a_zero == out_.zero_point && std::abs(p.a_ratio) + std::abs(p.b_ratio) < 1e6f;
  }

  MEZZO_INLINE __m512 Scaled(int v, __m512i sum) const {
    return _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale_[v]);
  }

  // The rounded sum, less its zero point, of the code that `value` becomes and of the residual, not
  // yet cut off; above only if its codes are not kPlain. Integers below 2^24 are as exact as
  // floats.
  template <bool kPlain>
  MEZZO_INLINE __m512i Added(size_t row, int v, __m512 value) const {
    __m512 a = _mm512_roundscale_ps(_mm512_max_ps(_mm512_min_ps(value, hi_), lo_),
                                    _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const char* other = reinterpret_cast<const char*>(s_.other) + row * s_.y_step + 16 * v;
    const __m128i codes = _mm_maskz_loadu_epi8(Columns(v), other);
    if constexpr (kPlain) {
      const __m512 b = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(codes));
      return _mm512_cvtps_epi32(_mm512_add_ps(_mm512_mul_ps(ra_, a), _mm512_mul_ps(rb_, b)));
    }
    a = _mm512_add_ps(a, to_a_);
    const __m512 b =
        _mm512_sub_ps(_mm512_cvtepi32_ps(s_.residual->b.is_signed ? _mm512_cvtepi8_epi32(codes)
                                                                  : _mm512_cvtepu8_epi32(codes)),
                      b_zero_);
    const __m512 sum = _mm512_add_ps(_mm512_mul_ps(ra_, a), _mm512_mul_ps(rb_, b));
    return _mm512_cvtps_epi32(_mm512_min_ps(sum, sum_hi_));
  }

  // Those of vector v that exist.
  MEZZO_INLINE __mmask16 Columns(int v) const {
    return static_cast<__mmask16>(columns_ >> (16 * v));
  }

  // The codes of R rows of rounded(r, v), as many rows at once as fill 64 bytes. kRelu: the range
  // is all of uint8.
  template <bool kRelu, int R, class F>
  MEZZO_INLINE void StoreCodes(size_t first, CodeRange range, const F& rounded) const {
    constexpr int kRows = V == 1 ? 4 : V == 2 ? 2 : 1;
    const uint64_t columns = columns_;
    const size_t y_step = s_.y_step;
    char* const y = s_.y + first * y_step;
    Unrolled<(R + kRows - 1) / kRows>([&](auto group) MEZZO_INLINE {
      constexpr int r = group * kRows, rows = std::min(kRows, R - r);
      __m512i part[4];
      Unrolled<4>([&](auto i) MEZZO_INLINE {
        constexpr int at = r * V + i;
        if constexpr (i < rows * V)
          part[i] =
              rounded(std::integral_constant<int, at / V>(), std::integral_constant<int, at % V>());
        else
          part[i] = part[i - 1];
      });
      const __m512i codes = InOrderAvx512(
          kRelu ? PackedUnsignedAvx512(part[0], part[1], part[2], part[3])
                : PackedAvx512(part[0], part[1], part[2], part[3], range.zero, range.lo, range.hi));
      Unrolled<rows>([&](auto i) MEZZO_INLINE {
        char* to = y + (r + i) * y_step;
        if constexpr (V == 1)
          _mm_mask_storeu_epi8(to, static_cast<__mmask16>(columns),
                               _mm512_extracti32x4_epi32(codes, i));
        else if constexpr (V == 2)
          _mm256_mask_storeu_epi8(
              to, static_cast<__mmask32>(columns),
              i == 0 ? _mm512_castsi512_si256(codes) : _mm512_extracti64x4_epi64(codes, 1));
        else
          _mm512_mask_storeu_epi8(to, columns, codes);
      });
    });
  }

  const QuadStrip& s_;
  const QOutput& out_;
  uint64_t columns_;
  __m512 lo_, hi_, scale_[V];
  __m512 ra_, rb_, to_a_, b_zero_, sum_hi_;  // of the residual
};

template <Mode kMode, int R, int V, bool kRuns>
[[gnu::noinline]] void Tile(const QuadStrip& s, const Stage<V>& stage, size_t first,
                            const int8_t* fetch) {
  auto sums = VnniSumsOf<Avx512Vnni, R, V, 64 * V, kRuns>(s, first, fetch);
  if constexpr (kMode == Mode::kAnything) {
    for (int r = 0; r < R; ++r) stage.StoreRow(sums.at[r], first + r);
  } else {
    Unrolled<R>([&](auto r) MEZZO_INLINE {
      Unrolled<V>([&](auto v) MEZZO_INLINE {
        __m512i sum = sums.at[r][v];
        asm("" : "+v"(sum));  // as in the lines of AVX2
        sums.at[r][v] = sum;
      });
    });
    stage.template Store<kMode, R>(sums, first);
  }
}

// Tiles of nearly equal height: a low one would wait for its few sums.
template <Mode kMode, int V, int kRows, bool kRuns = false>
void Tiles(const QuadStrip& s, const Stage<V>& stage) {
  const size_t tiles = (s.count + kRows - 1) / kRows, height = s.count / tiles,
               higher = s.count % tiles, quads = s.runs * (2 * s.pairs + s.singles);
  // A tile's sums would wait for what is added to them.
  const bool far = s.other && s.count * s.y_step > Caches().l1;
  for (size_t i = 0, first = 0, rows; i < tiles; ++i, first += rows) {
    rows = height + (i < higher);
    if (s.ahead) FetchAhead(s, first + 2 * kRows, kRows);
    if (far)
      for (size_t r = first + kRows; r < std::min(first + 2 * kRows, s.count); ++r)
        __builtin_prefetch(s.other + r * s.y_step);
    const int8_t* const fetch = 64 * quads * i < s.after ? s.next + 64 * quads * i : nullptr;
    Unrolled<kRows>([&](auto r) MEZZO_INLINE {
      if (rows == r + 1) Tile<kMode, r + 1, V, kRuns>(s, stage, first, fetch);
    });
  }
}

template <int V, int kRows>
void Strip(const QuadStrip& s) {
  const Stage<V> stage(s);
  if constexpr (V == kMaxQuadVectors)
    if (s.runs > 1)
      return stage.mode() == Mode::kRelu ? Tiles<Mode::kRelu, V, kRows, true>(s, stage)
                                         : Tiles<Mode::kCodes, V, kRows, true>(s, stage);
  switch (stage.mode()) {
    case Mode::kRelu:
      return Tiles<Mode::kRelu, V, kRows>(s, stage);
    case Mode::kCodes:
      return Tiles<Mode::kCodes, V, kRows>(s, stage);
    case Mode::kPlainResidual:
      return Tiles<Mode::kPlainResidual, V, kRows>(s, stage);
    case Mode::kResidual:
      return Tiles<Mode::kResidual, V, kRows>(s, stage);
    case Mode::kFloat:
      return Tiles<Mode::kFloat, V, kRows>(s, stage);
    case Mode::kAnything:
      return Tiles<Mode::kAnything, V, kRows>(s, stage);
  }
}

void RunStrip(const QuadStrip& s) {
  constexpr void (*kStrips[])(const QuadStrip&) = {Strip<1, 12>, Strip<2, 12>, Strip<3, 8>,
                                                   Strip<4, 6>};
  kStrips[s.vectors - 1](s);
}

}  // namespace

const QuadLines kQuadLinesAvx512Vnni{Isa::kAvx512Vnni, 12, kMaxQuadVectors, false, RunStrip, true};

}  // namespace mezzo
