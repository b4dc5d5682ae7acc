#include "mezzo/kernels/row_gemm/row_gemm.h"

#include <gtest/gtest.h>

#include "mezzo/base/cpu.h"
#include "mezzo/tensor/normal_test.h"

namespace mezzo {
namespace {

TEST(RowGemm, IsThePlainLoopBitForBit) {
  for (const int64_t depth : {1, 33, 64, 200})
    for (const int64_t rows : {1, 16, 37})
      for (const int64_t tokens : {1, 4, 5, 9}) {
        const PackedRows w(RoundRows(NormalTensor({rows, depth}, 1)));
        Tensor x = NormalTensor({tokens, depth}, 2);
        std::fill_n(x.data<float>(), depth, 5.0f);  // the largest code everywhere
        std::vector<float> want(tokens * rows), got(tokens * rows);
        RowGemmRef(x.data<float>(), depth, tokens, w, want.data(), rows);
        for (const Isa isa : SupportedIsas()) {
          const ScopedIsa scoped(isa);
          std::fill(got.begin(), got.end(), -1.0f);
          RowGemm(x.data<float>(), depth, tokens, w, got.data(), rows, Threads(3));
          EXPECT_EQ(got, want) << depth << "," << rows << "," << tokens << " " << Name(isa);
        }
      }
}

TEST(RowGemm, IsCloseToTheFloatProductAndRowsComeBack) {
  const int64_t depth = 100;
  const RowCodes codes = RoundRows(NormalTensor({20, depth}, 1));
  const Tensor w = codes.Dequantize(), x = NormalTensor({3, depth}, 2);
  const PackedRows packed(codes);
  std::vector<float> y(60), row(depth);
  RowGemm(x.data<float>(), depth, 3, packed, y.data(), 20, {});
  for (int64_t r = 0; r < 20; ++r) {
    packed.Row(r, row.data());
    for (int64_t c = 0; c < depth; ++c) EXPECT_EQ(row[c], w.data<float>()[r * depth + c]);
    for (int64_t t = 0; t < 3; ++t) {
      double sum = 0, size = 0;
      for (int64_t c = 0; c < depth; ++c) {
        const double p = double(x.data<float>()[t * depth + c]) * row[c];
        // Half a step of at most 5 / 32767, times the weight.
        sum += p, size += 0.5 * 5 / 32767 * std::fabs(row[c]) + 1e-7 * std::fabs(p);
      }
      EXPECT_NEAR(y[t * 20 + r], sum, size);
    }
  }
}

}  // namespace
}  // namespace mezzo
