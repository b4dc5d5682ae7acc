// From a picture to the tensor a network takes. Every field is one of the JSON object, under the
// same name:
//
//   {"resize": {"mode": "shorter", "size": 256, "filter": "bilinear"}, "crop": [224, 224],
//    "channels": "rgb", "scale": 0.00392156862745098, "mean": [0.485, 0.456, 0.406],
//    "std": [0.229, 0.224, 0.225], "layout": "nchw"}
//
// value = (code * scale - mean) / std, code 0 to 255; computed in double, rounded once.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "mezzo/evaluate/image.h"
#include "mezzo/tensor/tensor.h"

namespace mezzo {

enum class ResizeMode : uint8_t {
  kNone,     // "none"
  kShorter,  // "shorter": the shorter side becomes `size`, the longer keeps the shape, rounded
  kExact,    // "exact": height x width, "size": [height, width]
  kHeight,   // "height": `size` high, the width as it comes (rounded half to even), at least
             // min_width
};

enum class Channels : uint8_t {
  kRgb,
  kBgr,
  kLuma,     // "luma": Y of full-range YCbCr (JPEG), 0 to 255
  kLuma601,  // "luma601": Y of BT.601 in studio range, 16 to 235
};

enum class PixelLayout : uint8_t { kNchw, kNhwc };

struct Preprocess {
  struct {
    ResizeMode mode = ResizeMode::kNone;
    int height = 0, width = 0;  // shorter: both the same; height: width is 0
    int min_width = 1;          // mode height only
    Filter filter = Filter::kBilinear;
  } resize;
  int crop_height = 0, crop_width = 0;  // centre crop; 0: none
  Channels channels = Channels::kRgb;
  double scale = 1.0 / 255;
  std::vector<double> mean{0},
      std{1};  // one for all channels, or one a channel in the order of `channels`
  PixelLayout layout = PixelLayout::kNchw;
  int width_multiple = 1;  // pads on the right with pad_value (in units of the result)
  int fixed_width =
      0;  // mode height only, 0: none; wider pictures are squeezed to it, others padded
  double pad_value = 0;

  int channel_count() const { return channels <= Channels::kBgr ? 3 : 1; }

  // The picture as (1, C, H, W) or (1, H, W, C) float32.
  Tensor Apply(const Image& image) const;
};

bool operator==(const Preprocess& a, const Preprocess& b);

// Throws UsageError naming the field: an unknown key, a wrong type, a value out of range.
Preprocess PreprocessFromJson(const nlohmann::json& json);
nlohmann::json ToJson(const Preprocess& p);

// The name of a preset, or the path of a JSON file. Throws UsageError that lists the presets, or
// FileError with the file and what is wrong in it.
//   imagenet       shorter side 256 bilinear, crop 224, ImageNet's mean and deviation
//   imagenet-lite  the same bicubic, (x - 127) / 128
//   cifar10        32 x 32, ImageNet's mean and deviation
//   ocr            48 high, at least 16 wide, BGR, -1 to 1
//   luma           one channel, 0 to 1, at the picture's own size
Preprocess LoadPreprocess(const std::string& preset_or_path);
std::vector<std::string> PreprocessPresets();

}  // namespace mezzo
