#include <cmath>

#include "mezzo/format/fp8.h"
#include "mezzo/runtime/ops/one_op_test.h"
#include "mezzo/tensor/normal_test.h"

namespace mezzo {
namespace {

Tensor Rounded(const Tensor& x, const std::string& format, int64_t group) {
  OneOp op("QuantizeRows", {{"format", format}, {"group", group}});
  op.graph.nodes[0].domain = "mezzo";
  return op.In(x).Run()[0];
}

TEST(QuantizeRows, EveryGroupHasAScaleOfItsOwn) {
  Tensor x = NormalTensor({3, 32}, 1);
  for (int64_t i = 32; i < 64; ++i) x.data<float>()[i] *= 1000;
  std::fill_n(x.data<float>() + 64, 8, 0.0f);
  for (const int64_t group : {0, 8})
    for (const bool fp8 : {false, true}) {
      const Tensor y = Rounded(x, fp8 ? "fp8" : "int8", group);
      const int64_t n = group ? group : 32;
      for (int64_t begin = 0; begin < 96; begin += n) {
        float top = 0;
        for (int64_t i = begin; i < begin + n; ++i)
          top = std::max(top, std::fabs(x.data<float>()[i]));
        for (int64_t i = begin; i < begin + n; ++i) {
          const float v = x.data<float>()[i], got = y.data<float>()[i];
          // Half a step: of 127 to the largest, or a sixteenth of the value, at least the
          // subnormals'.
          const float step = fp8 ? std::max(std::fabs(v) / 8, top / 448 * 0x1p-9f) : top / 127;
          EXPECT_LE(std::fabs(got - v), 0.501f * step) << i;
          if (std::fabs(v) == top) {
            EXPECT_NEAR(got, v, 1e-6f * top);
          }
        }
      }
    }
}

TEST(QuantizeRows, RefusesGroupsThatDoNotDivideAndOtherFormats) {
  const Tensor x = NormalTensor({2, 10}, 1);
  EXPECT_THROW(Rounded(x, "int8", 4), UsageError);
  EXPECT_THROW(Rounded(x, "int4", 0), UsageError);
}

}  // namespace
}  // namespace mezzo
