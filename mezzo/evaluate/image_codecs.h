// The decoders behind DecodeImage, for its use only.
#pragma once

#include "mezzo/evaluate/image.h"

namespace mezzo {

Image DecodeJpeg(std::span<const uint8_t> bytes, const std::string& name);
Image DecodePng(std::span<const uint8_t> bytes, const std::string& name);

// Throws FileError unless 0 < width * height <= kMaxPixels.
void CheckImageSize(int64_t width, int64_t height, const std::string& name);

}  // namespace mezzo
