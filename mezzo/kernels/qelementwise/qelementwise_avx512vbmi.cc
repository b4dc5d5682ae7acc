// Look-up tables by vpermi2b, which picks from 128 bytes. Compiled for AVX-512 (CMakeLists.txt).
#include "mezzo/kernels/qelementwise/qelementwise.h"
#include "mezzo/kernels/qgemm/qgemm_avx512.h"

namespace mezzo {
namespace {

class Table {
 public:
  MEZZO_INLINE explicit Table(const uint8_t* entries) {
    Unrolled<4>([&](auto i) MEZZO_INLINE { part_[i] = _mm512_loadu_si512(entries + 64 * i); });
  }
  MEZZO_INLINE __m512i operator()(__m512i codes) const {
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(codes),
                                  _mm512_permutex2var_epi8(part_[0], codes, part_[1]),
                                  _mm512_permutex2var_epi8(part_[2], codes, part_[3]));
  }

 private:
  __m512i part_[4];
};

// Within each 128 bits: byte i of v[k] to byte k of v[i].
MEZZO_INLINE inline void Transpose(__m512i (&v)[16]) {
  // each stage puts what was `half` vectors apart side by side
  Unrolled<4>([&](auto) MEZZO_INLINE {
    __m512i next[16];
    Unrolled<8>([&](auto i) MEZZO_INLINE {
      next[2 * i] = _mm512_unpacklo_epi8(v[i], v[i + 8]);
      next[2 * i + 1] = _mm512_unpackhi_epi8(v[i], v[i + 8]);
    });
    Unrolled<16>([&](auto i) MEZZO_INLINE { v[i] = next[i]; });
  });
}

constexpr size_t kPixels = 64, kChannels = 16;

// 64 pixels of 16 channels: as vectors of a channel each, and back. y may be x.
void Tile(const uint8_t* x, const uint8_t* tables, size_t stride, uint8_t* y) {
  __m512i v[16];
  const auto row = [&](size_t i) MEZZO_INLINE {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i * stride));
  };
  Unrolled<16>([&](auto i) MEZZO_INLINE {
    v[i] = _mm512_castsi128_si512(row(i));
    v[i] = _mm512_inserti32x4(v[i], row(i + 16), 1);
    v[i] = _mm512_inserti32x4(v[i], row(i + 32), 2);
    v[i] = _mm512_inserti32x4(v[i], row(i + 48), 3);
  });
  Transpose(v);
  Unrolled<16>([&](auto c) MEZZO_INLINE { v[c] = Table(tables + 256 * c)(v[c]); });
  Transpose(v);
  Unrolled<16>([&](auto i) MEZZO_INLINE {
    Unrolled<4>([&](auto lane) MEZZO_INLINE {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(y + (i + 16 * lane) * stride),
                       _mm512_extracti32x4_epi32(v[i], lane));
    });
  });
}

}  // namespace

size_t QLutAvx512Vbmi(const uint8_t* x, const QTable& table, uint8_t* y, size_t n) {
  const Table look_up(table.data());
  size_t i = 0;
  for (; i + 64 <= n; i += 64) _mm512_storeu_si512(y + i, look_up(_mm512_loadu_si512(x + i)));
  return i;
}

size_t QLutChannelsAvx512Vbmi(const uint8_t* x, const uint8_t* tables, size_t channels, uint8_t* y,
                              size_t rows) {
  const size_t whole = channels / kChannels * kChannels;
  for (size_t r = 0; r < rows; r += kPixels) {
    const size_t count = rows - r < kPixels ? rows - r : kPixels;
    const uint8_t* from = x + r * channels;
    uint8_t* to = y + r * channels;
    for (size_t c = 0; c < whole; c += kChannels) {
      if (count == kPixels) {
        Tile(from + c, tables + 256 * c, channels, to + c);
        continue;
      }
      uint8_t some[kPixels * kChannels] = {};
      for (size_t i = 0; i < count; ++i)
        __builtin_memcpy(some + kChannels * i, from + i * channels + c, kChannels);
      Tile(some, tables + 256 * c, kChannels, some);
      for (size_t i = 0; i < count; ++i)
        __builtin_memcpy(to + i * channels + c, some + kChannels * i, kChannels);
    }
  }
  return whole;
}

}  // namespace mezzo
