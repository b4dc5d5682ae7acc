#include "mezzo/evaluate/image.h"

#include <cstring>

#include "mezzo/base/error.h"
#include "mezzo/base/files.h"
#include "mezzo/evaluate/image_codecs.h"

namespace mezzo {

Image DecodeImage(std::span<const uint8_t> bytes, const std::string& name) {
  constexpr uint8_t kJpeg[] = {0xff, 0xd8, 0xff}, kPng[] = {0x89, 'P', 'N', 'G'};
  const auto begins = [&](std::span<const uint8_t> magic) {
    return bytes.size() >= magic.size() &&
           std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
  };
  RequireFile(!bytes.empty(), name, ": is empty, needs a JPEG or PNG picture");
  if (begins(kJpeg)) return DecodeJpeg(bytes, name);
  RequireFile(begins(kPng), name, ": is neither a JPEG nor a PNG picture");
  return DecodePng(bytes, name);
}

Image ReadImage(const std::filesystem::path& path) {
  const MappedFile file(path);
  return DecodeImage(file.bytes(), path.string());
}

void CheckImageSize(int64_t width, int64_t height, const std::string& name) {
  RequireFile(width > 0 && height > 0 && width <= kMaxPixels && height <= kMaxPixels / width, name,
              ": is ", width, " x ", height, " pixels, the limit is ", kMaxPixels, " in all");
}

Image CentreCrop(const Image& image, int width, int height) {
  Require(width > 0 && height > 0 && width <= image.width && height <= image.height, "cannot crop ",
          width, " x ", height, " out of a picture of ", image.width, " x ", image.height);
  const int x = (image.width - width) / 2, y = (image.height - height) / 2;
  Image out(width, height);
  const size_t row = static_cast<size_t>(width) * 3;
  for (int r = 0; r < height; ++r)
    std::memcpy(&out.pixels[r * row],
                &image.pixels[(static_cast<size_t>(y + r) * image.width + x) * 3], row);
  return out;
}

}  // namespace mezzo
