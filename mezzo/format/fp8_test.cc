#include "mezzo/format/fp8.h"

#include <gtest/gtest.h>

namespace mezzo {
namespace {

TEST(UnsignedE3M5, EveryCodeAndEveryMiddle) {
  EXPECT_EQ(UnsignedE3M5ToFloat(0), 0);
  EXPECT_EQ(UnsignedE3M5ToFloat(1), 0x1p-11f);
  EXPECT_EQ(UnsignedE3M5ToFloat(32), 0x1p-6f);  // the least normal number
  EXPECT_EQ(UnsignedE3M5ToFloat(7 << 5), 1);
  EXPECT_EQ(UnsignedE3M5ToFloat(255), 63 / 32.0f);
  for (int code = 0; code < 255; ++code) {
    const float v = UnsignedE3M5ToFloat(static_cast<uint8_t>(code)),
                next = UnsignedE3M5ToFloat(static_cast<uint8_t>(code + 1));
    ASSERT_LT(v, next);
    EXPECT_EQ(FloatToUnsignedE3M5(v), code);
    const float middle = (v + next) / 2;
    EXPECT_EQ(FloatToUnsignedE3M5(middle), code + code % 2) << code;
    EXPECT_EQ(FloatToUnsignedE3M5(std::nextafter(middle, 0.0f)), code) << code;
    EXPECT_EQ(FloatToUnsignedE3M5(std::nextafter(middle, 2.0f)), code + 1) << code;
  }
  EXPECT_EQ(FloatToUnsignedE3M5(1e30f), 255);
  EXPECT_EQ(FloatToUnsignedE3M5(INFINITY), 255);
}

}  // namespace
}  // namespace mezzo
