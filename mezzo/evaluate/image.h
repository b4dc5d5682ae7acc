// Pictures: decoding to 8-bit RGB, resizing, cropping.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace mezzo {

struct Image {
  int width = 0, height = 0;
  std::vector<uint8_t> pixels;  // (height, width, 3), RGB

  Image() = default;
  Image(int w, int h) : width(w), height(h), pixels(static_cast<size_t>(w) * h * 3) {}
};

// Larger pictures are refused: 100 million pixels, or 300 MB decoded.
constexpr int64_t kMaxPixels = 100'000'000;

// JPEG (gray, YCbCr, RGB, CMYK, YCCK; baseline and progressive) and PNG (any depth and colour type:
// the high byte of 16 bits, alpha dropped). Gray is repeated; CMYK is turned to RGB as Pillow does.
// Orientation tags and colour profiles are not applied. Throws FileError that begins with `name`
// for anything else, and for truncated or damaged data.
Image DecodeImage(std::span<const uint8_t> bytes, const std::string& name);
Image ReadImage(const std::filesystem::path& path);

enum class Filter : uint8_t { kBilinear, kBicubic };

// Resizes with the filter widened by the reduction (antialiased), first along rows, then along
// columns, each rounded to 8 bits with weights of 22 fractional bits: the bits of Pillow's
// Image.resize. Needs width and height > 0 on both sides.
Image Resize(const Image& image, int width, int height, Filter filter);

// The middle part; an odd remainder is split as torchvision does (half to even). Throws UsageError
// if the image is smaller.
Image CentreCrop(const Image& image, int width, int height);

}  // namespace mezzo
