// PNG by libpng. Its errors leave by longjmp: see image_jpeg.cc.
#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "mezzo/base/error.h"
#include "mezzo/evaluate/image_codecs.h"

namespace mezzo {
namespace {

struct Source {
  const uint8_t* at;
  size_t left;
  char message[200];
};

struct Decoder {
  png_structp png = nullptr;
  png_infop info = nullptr;
  ~Decoder() { png_destroy_read_struct(&png, &info, nullptr); }
};

void OnRead(png_structp png, png_bytep to, size_t n) {
  auto& source = *static_cast<Source*>(png_get_io_ptr(png));
  if (n > source.left) png_error(png, "ends too early");
  std::memcpy(to, source.at, n);
  source.at += n;
  source.left -= n;
}

void OnError(png_structp png, png_const_charp message) {
  auto& source = *static_cast<Source*>(png_get_error_ptr(png));
  std::snprintf(source.message, sizeof source.message, "%s", message);
  png_longjmp(png, 1);
}

void OnWarning(png_structp, png_const_charp) {}

bool ReadHeader(png_structp png, png_infop info) {
  if (setjmp(png_jmpbuf(png))) return false;
  png_set_user_limits(png, kMaxPixels, kMaxPixels);
  png_set_chunk_malloc_max(png, 8 << 20);
  png_read_info(png, info);
  const int type = png_get_color_type(png, info);
  png_set_expand(png);  // palettes and small depths to 8 bits, transparency to alpha
  if (png_get_bit_depth(png, info) == 16) png_set_strip_16(png);
  if (!(type & PNG_COLOR_MASK_COLOR)) png_set_gray_to_rgb(png);
  png_set_strip_alpha(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  return true;
}

bool ReadRows(png_structp png, png_bytepp rows) {
  if (setjmp(png_jmpbuf(png))) return false;
  png_read_image(png, rows);
  png_read_end(png, nullptr);
  return true;
}

}  // namespace

Image DecodePng(std::span<const uint8_t> bytes, const std::string& name) {
  Source source{bytes.data(), bytes.size(), {}};
  Decoder d;
  d.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &source, OnError, OnWarning);
  if (d.png) d.info = png_create_info_struct(d.png);
  RequireFile(d.info, name, ": cannot be decoded: no memory");
  png_set_read_fn(d.png, &source, OnRead);
  RequireFile(ReadHeader(d.png, d.info), name, ": cannot be decoded: ", source.message);
  const png_uint_32 width = png_get_image_width(d.png, d.info),
                    height = png_get_image_height(d.png, d.info);
  CheckImageSize(width, height, name);
  RequireFile(png_get_rowbytes(d.png, d.info) == size_t{width} * 3, name,
              ": cannot be decoded to RGB");
  Image image(static_cast<int>(width), static_cast<int>(height));
  std::vector<png_bytep> rows(height);
  for (size_t r = 0; r < height; ++r) rows[r] = &image.pixels[r * width * 3];
  RequireFile(ReadRows(d.png, rows.data()), name, ": cannot be decoded: ", source.message);
  return image;
}

}  // namespace mezzo
