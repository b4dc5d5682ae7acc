// The refusals, one a file, are in tests/corpus/preprocess and replayed by fuzz_test.cc.
#include "mezzo/evaluate/preprocess.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "mezzo/base/files.h"

namespace mezzo {
namespace {

Image Flat(int width, int height, uint8_t r, uint8_t g, uint8_t b) {
  Image image(width, height);
  for (size_t i = 0; i < image.pixels.size(); i += 3)
    image.pixels[i] = r, image.pixels[i + 1] = g, image.pixels[i + 2] = b;
  return image;
}

std::string Refusal(const char* json) {
  try {
    PreprocessFromJson(nlohmann::json::parse(json));
  } catch (const UsageError& e) {
    return e.what();
  }
  return "";
}

TEST(Preprocess, PresetsSurviveJson) {
  for (const std::string& name : PreprocessPresets()) {
    const Preprocess p = LoadPreprocess(name);
    EXPECT_TRUE(PreprocessFromJson(ToJson(p)) == p) << name;
    EXPECT_EQ(PreprocessFromJson(ToJson(p)).scale, p.scale) << name;
  }
}

TEST(Preprocess, ImagenetNormalizesAndCrops) {
  const Tensor x = LoadPreprocess("imagenet").Apply(Flat(300, 280, 10, 20, 30));
  ASSERT_EQ(x.shape(), (Shape{1, 3, 224, 224}));
  EXPECT_EQ(x.data<float>()[0], static_cast<float>((10 * (1.0 / 255) - 0.485) / 0.229));
  EXPECT_EQ(x.data<float>()[2 * 224 * 224], static_cast<float>((30 * (1.0 / 255) - 0.406) / 0.225));
  const Tensor lite = LoadPreprocess("imagenet-lite").Apply(Flat(224, 500, 10, 20, 30));
  EXPECT_EQ(lite.shape(), (Shape{1, 3, 224, 224}));
  EXPECT_EQ(lite.data<float>()[0], (10.0f - 127) / 128);
}

TEST(Preprocess, ShorterSideRoundsTheLonger) {
  Preprocess p;
  p.resize = {ResizeMode::kShorter, 8, 8, 1, Filter::kBilinear};
  EXPECT_EQ(p.Apply(Flat(26, 20, 0, 0, 0)).shape(), (Shape{1, 3, 8, 10}));   // 10.4
  EXPECT_EQ(p.Apply(Flat(20, 27, 0, 0, 0)).shape(), (Shape{1, 3, 11, 8}));   // 10.8
  EXPECT_EQ(p.Apply(Flat(8, 300, 0, 0, 0)).shape(), (Shape{1, 3, 300, 8}));  // as it is
}

TEST(Preprocess, OcrIsBgrWithItsOwnWidth) {
  Preprocess p = LoadPreprocess("ocr");
  const Tensor x = p.Apply(Flat(100, 24, 0, 51, 255));
  ASSERT_EQ(x.shape(), (Shape{1, 3, 48, 200}));
  EXPECT_EQ(x.data<float>()[0], 1.0f);
  EXPECT_EQ(x.data<float>()[2 * 48 * 200], -1.0f);
  EXPECT_EQ(p.Apply(Flat(2, 48, 0, 0, 0)).dim(3), 16);
  EXPECT_EQ(p.Apply(Flat(41, 96, 0, 0, 0)).dim(3), 20);  // 20.5: half to even
  p.width_multiple = 32;
  EXPECT_EQ(p.Apply(Flat(33, 48, 0, 0, 0)).dim(3), 64);
  p.width_multiple = 1, p.fixed_width = 64;
  const Tensor padded = p.Apply(Flat(32, 48, 0, 0, 0));
  ASSERT_EQ(padded.dim(3), 64);
  EXPECT_EQ(padded.data<float>()[31], -1.0f);
  EXPECT_EQ(padded.data<float>()[32], 0.0f);
  EXPECT_EQ(p.Apply(Flat(200, 48, 0, 0, 0)).dim(3), 64);
}

TEST(Preprocess, LumaMatchesPillowAndBt601) {
  Preprocess p = LoadPreprocess("luma");
  p.scale = 1;
  EXPECT_EQ(p.Apply(Flat(1, 1, 200, 100, 50)).data<float>()[0], 124);
  EXPECT_EQ(p.Apply(Flat(1, 1, 10, 250, 30)).data<float>()[0], 153);
  EXPECT_EQ(p.Apply(Flat(1, 1, 255, 255, 255)).data<float>()[0], 255);
  p.channels = Channels::kLuma601;
  EXPECT_EQ(p.Apply(Flat(1, 1, 255, 255, 255)).data<float>()[0], 235);
  EXPECT_EQ(p.Apply(Flat(1, 1, 0, 0, 0)).data<float>()[0], 16);
}

TEST(Preprocess, NhwcHoldsChannelsTogether) {
  Preprocess p;
  p.layout = PixelLayout::kNhwc;
  p.scale = 1;
  p.width_multiple = 4;
  p.pad_value = 9;
  const Tensor x = p.Apply(Flat(3, 2, 1, 2, 3));
  ASSERT_EQ(x.shape(), (Shape{1, 2, 4, 3}));
  const std::vector<float> row(x.data<float>(), x.data<float>() + 12);
  EXPECT_EQ(row, (std::vector<float>{1, 2, 3, 1, 2, 3, 1, 2, 3, 9, 9, 9}));
}

TEST(Preprocess, RefusalsNameTheField) {
  EXPECT_EQ(Refusal(R"({"resize":{"mode":"exact","size":[1,1],"filtre":"x"}})"),
            "preprocess: unknown field 'resize.filtre', known are filter, min_width, mode, size");
  EXPECT_EQ(Refusal(R"({"channels":"hsv"})"),
            "preprocess: channels is \"hsv\", must be one of bgr, luma, luma601, rgb");
  EXPECT_EQ(Refusal(R"({"mean":[1,2]})"), "preprocess: mean has 2 numbers, needs 1 or 3");
  EXPECT_EQ(Refusal(R"({"crop":1.5})"),
            "preprocess: crop is 1.5, must be a whole number from 1 to 65535");
  EXPECT_THROW(LoadPreprocess("imagenett"), UsageError);
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "p.json").string();
  for (const char* text : {"{", R"({"x":1})"}) {
    WriteFile(path, text);
    try {
      LoadPreprocess(path);
      ADD_FAILURE() << text;
    } catch (const FileError& e) {
      EXPECT_TRUE(std::string(e.what()).starts_with(path + ": ")) << e.what();
    }
  }
}

}  // namespace
}  // namespace mezzo
