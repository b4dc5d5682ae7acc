// Goldens from Pillow 13 on the pictures in tests/corpus/image and on a picture made by formula.
#include "mezzo/evaluate/image.h"

#include <gtest/gtest.h>

#include "mezzo/base/error.h"

namespace mezzo {
namespace {

std::filesystem::path Corpus(const std::string& name) {
  return std::filesystem::path(MEZZO_SOURCE_DIR) / "tests" / "corpus" / "image" / name;
}

uint64_t CheckSum(const Image& image) {
  uint64_t sum = 0;
  for (size_t k = 0; k < image.pixels.size(); ++k) sum += image.pixels[k] * (k % 65521 + 1);
  return sum;
}

TEST(Image, DecodesAsPillowDoes) {
  const std::pair<const char*, uint64_t> want[] = {
      {"ok_rgb.png", 0x1897e90},        {"ok_alpha.png", 0x1897e90},  {"ok_bits1.png", 0x1bc9fa2},
      {"ok_gray.png", 0x1b7c9b0},       {"ok_gray16.png", 0x1dfc5f2}, {"ok_palette.png", 0x18209f1},
      {"ok_rgb.jpg", 0x188bdaa},        {"ok_gray.jpg", 0x1b67257},   {"ok_cmyk.jpg", 0x1890e39},
      {"ok_progressive.jpg", 0x188bdaa}};
  for (const auto& [name, sum] : want) {
    const Image image = ReadImage(Corpus(name));
    EXPECT_EQ(image.width, 17);
    EXPECT_EQ(image.height, 13);
    EXPECT_EQ(CheckSum(image), sum) << name;
  }
}

TEST(Image, RefusalsNameTheFile) {
  const auto refusal = [](const std::string& name) {
    try {
      ReadImage(Corpus(name));
    } catch (const FileError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_NE(
      refusal("bad_truncated.jpg").find("bad_truncated.jpg: cannot be decoded: Premature end"),
      std::string::npos);
  EXPECT_NE(refusal("bad_huge.jpg").find("is 60000 x 60000"), std::string::npos)
      << refusal("bad_huge.jpg");
  EXPECT_NE(refusal("bad_truncated.png").find("cannot be decoded: ends too early"),
            std::string::npos);
  EXPECT_NE(refusal("bad_huge.png").find("is 2000000 x 2000000 pixels"), std::string::npos);
  EXPECT_NE(refusal("bad_gif").find("neither a JPEG nor a PNG"), std::string::npos);
}

Image Picture(int width, int height) {
  Image image(width, height);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c)
        image.pixels[(y * width + x) * 3 + c] =
            static_cast<uint8_t>(x * x * 7 + y * y * 13 + x * y * 3 + c * 50);
  return image;
}

// The hash of numpy.bitwise_xor.reduce(a * (arange * 2654435761 + 1)).
uint64_t Hash(const Image& image) {
  uint64_t h = 0;
  for (size_t k = 0; k < image.pixels.size(); ++k) h ^= image.pixels[k] * (k * 2654435761u + 1);
  return h;
}

TEST(Image, ResizesToPillowsBits) {
  EXPECT_EQ(Resize(Picture(7, 5), 4, 3, Filter::kBilinear).pixels,
            (std::vector<uint8_t>{10,  60,  110, 42,  92,  142, 122, 172, 170, 167, 141, 81,
                                  65,  115, 162, 104, 138, 158, 123, 157, 121, 81,  131, 120,
                                  172, 83,  128, 108, 98,  91,  97,  116, 137, 108, 158, 87}));
  EXPECT_EQ(Resize(Picture(7, 5), 4, 3, Filter::kBicubic).pixels,
            (std::vector<uint8_t>{5,   54,  104, 35,  87,  148, 124, 183, 178, 173, 141, 73,
                                  58,  121, 169, 112, 143, 162, 127, 157, 118, 72,  130, 121,
                                  181, 84,  131, 107, 96,  86,  94,  111, 138, 108, 162, 85}));
  EXPECT_EQ(Hash(Resize(Picture(7, 5), 11, 6, Filter::kBilinear)), 0xfefb6364562u);
  EXPECT_EQ(Hash(Resize(Picture(7, 5), 11, 6, Filter::kBicubic)), 0x1ad9f4796d88u);
  EXPECT_EQ(Resize(Picture(7, 5), 7, 5, Filter::kBicubic).pixels, Picture(7, 5).pixels);
  EXPECT_THROW(Resize(Picture(7, 5), 0, 3, Filter::kBilinear), UsageError);
  EXPECT_THROW(Resize(Picture(7, 5), 100000, 100000, Filter::kBilinear), UsageError);
}

TEST(Image, CropsTheMiddle) {
  const Image cropped = CentreCrop(Picture(7, 6), 4, 2), whole = Picture(7, 6);
  EXPECT_EQ(cropped.width, 4);
  EXPECT_EQ(cropped.pixels[0], whole.pixels[(2 * 7 + 1) * 3]);
  EXPECT_EQ(cropped.pixels[1 * 4 * 3 + 3 * 3], whole.pixels[(3 * 7 + 4) * 3]);
  EXPECT_THROW(CentreCrop(whole, 8, 2), UsageError);
}

}  // namespace
}  // namespace mezzo
