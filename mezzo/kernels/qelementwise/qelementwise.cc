#include "mezzo/kernels/qelementwise/qelementwise.h"

#include <algorithm>

#include "mezzo/base/cpu.h"

namespace mezzo {

void QBinary(const QBinaryArgs& args, const QBinaryParams& params) {
  const size_t done = CurrentIsa() == Isa::kPlain ? 0 : QBinaryAvx2(args, params);
  if (done == args.n) return;
  const auto* a = static_cast<const uint8_t*>(args.a.data) + done * args.a_step;
  const auto* b = static_cast<const uint8_t*>(args.b.data) + done * args.b_step;
  QBinaryRef({{a, args.a.is_signed},
              {b, args.b.is_signed},
              args.a_step,
              args.b_step,
              static_cast<uint8_t*>(args.y) + done,
              args.n - done},
             params);
}

void QLut(const uint8_t* x, const QTable& table, uint8_t* y, size_t n) {
  size_t i = 0;
  if (HasVbmi())
    i = MEZZO_X86(QLutAvx512Vbmi)(x, table, y, n);
  else if (CurrentIsa() > Isa::kPlain)
    i = QLutAvx2(x, table, y, n);
  for (; i < n; ++i) y[i] = table[x[i]];
}

void Quantize(const float* x, const QScale& s, uint8_t* y, size_t n) {
  size_t done = CurrentIsa() >= Isa::kAvx512Vnni ? MEZZO_X86(QuantizeAvx512)(x, s, y, n) : 0;
  if (CurrentIsa() > Isa::kPlain) done += QuantizeAvx2(x + done, s, y + done, n - done);
  QuantizeRef(x + done, s, y + done, n - done);
}

void Dequantize(const uint8_t* x, const QScale& s, float* y, size_t n) {
  size_t done = CurrentIsa() >= Isa::kAvx512Vnni ? MEZZO_X86(DequantizeAvx512)(x, s, y, n) : 0;
  if (CurrentIsa() > Isa::kPlain) done += DequantizeAvx2(x + done, s, y + done, n - done);
  DequantizeRef(x + done, s, y + done, n - done);
}

void QLutChannels(const uint8_t* x, const uint8_t* tables, size_t channels, uint8_t* y,
                  size_t rows) {
  constexpr size_t kBlock = 64;  // channels whose tables stay in the first cache
  const size_t done =
      HasVbmi() ? MEZZO_X86(QLutChannelsAvx512Vbmi)(x, tables, channels, y, rows) : 0;
  for (size_t begin = done; begin < channels; begin += kBlock) {
    const size_t end = std::min(begin + kBlock, channels);
    for (size_t r = 0; r < rows; ++r) {
      const uint8_t* from = x + r * channels;
      uint8_t* to = y + r * channels;
      for (size_t c = begin; c < end; ++c) to[c] = tables[256 * c + from[c]];
    }
  }
}

}  // namespace mezzo
