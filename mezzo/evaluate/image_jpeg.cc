// JPEG by libjpeg-turbo. Its errors leave by longjmp, so a frame that setjmp guards holds nothing
// that needs a destructor, and nothing throws through the library.
#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <string>

// jpeglib.h needs <cstdio> before it, jerror.h needs jpeglib.h.
// clang-format off
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include "mezzo/base/error.h"
#include "mezzo/evaluate/image_codecs.h"

namespace mezzo {
namespace {

// A progressive file of many empty scans would keep us busy for hours.
constexpr int kMaxScans = 200;

struct Decoder {
  jpeg_decompress_struct jpeg;
  jpeg_error_mgr errors;
  jpeg_progress_mgr progress;
  std::jmp_buf escape;
  char message[JMSG_LENGTH_MAX];
};

Decoder& Of(j_common_ptr jpeg) { return *static_cast<Decoder*>(jpeg->client_data); }

void OnError(j_common_ptr jpeg) {
  (*jpeg->err->format_message)(jpeg, Of(jpeg).message);
  std::longjmp(Of(jpeg).escape, 1);
}

// The library goes on after damage and makes up the rest of the picture: for us that is an error.
void OnMessage(j_common_ptr jpeg, int level) {
  if (level >= 0) return;
  switch (jpeg->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_MUST_RESYNC:
    case JWRN_NOT_SEQUENTIAL:
      OnError(jpeg);
      return;
    default:
      return;  // oddities that lose nothing, such as bytes between segments
  }
}

void OnProgress(j_common_ptr jpeg) {
  const auto& decoder = *reinterpret_cast<j_decompress_ptr>(jpeg);
  if (decoder.input_scan_number <= kMaxScans) return;
  std::snprintf(Of(jpeg).message, JMSG_LENGTH_MAX, "more than %d scans", kMaxScans);
  std::longjmp(Of(jpeg).escape, 1);
}

bool ReadHeader(Decoder& d, std::span<const uint8_t> bytes) {
  d.jpeg.err = jpeg_std_error(&d.errors);
  d.errors.error_exit = OnError;
  d.errors.emit_message = OnMessage;
  d.jpeg.client_data = &d;
  if (setjmp(d.escape)) return false;
  jpeg_create_decompress(&d.jpeg);
  d.progress.progress_monitor = OnProgress;
  d.jpeg.progress = &d.progress;
  jpeg_mem_src(&d.jpeg, bytes.data(), bytes.size());
  jpeg_read_header(&d.jpeg, TRUE);
  d.jpeg.out_color_space = d.jpeg.num_components == 4 ? JCS_CMYK : JCS_RGB;
  return true;
}

// Rows of 3 or 4 components a pixel, one after another.
bool ReadRows(Decoder& d, uint8_t* out) {
  if (setjmp(d.escape)) return false;
  jpeg_start_decompress(&d.jpeg);
  const size_t row =
      static_cast<size_t>(d.jpeg.output_width) * static_cast<size_t>(d.jpeg.output_components);
  while (d.jpeg.output_scanline < d.jpeg.output_height) {
    JSAMPROW to = out + d.jpeg.output_scanline * row;
    jpeg_read_scanlines(&d.jpeg, &to, 1);
  }
  jpeg_finish_decompress(&d.jpeg);
  return true;
}

// a * b / 255, rounded.
int MulDiv255(int a, int b) {
  const int t = a * b + 128;
  return ((t >> 8) + t) >> 8;
}

// Four-component files hold inverted ink, as Adobe's programs write them.
void InkToRgb(const std::vector<uint8_t>& cmyk, Image& image) {
  for (size_t p = 0; p < cmyk.size() / 4; ++p) {
    const int light = cmyk[4 * p + 3];
    for (size_t c = 0; c < 3; ++c) {
      const int v = light - MulDiv255(255 - cmyk[4 * p + c], light);
      image.pixels[3 * p + c] = static_cast<uint8_t>(v < 0 ? 0 : v);
    }
  }
}

}  // namespace

Image DecodeJpeg(std::span<const uint8_t> bytes, const std::string& name) {
  Decoder d{};
  struct Cleanup {
    jpeg_decompress_struct* jpeg;
    ~Cleanup() { jpeg_destroy_decompress(jpeg); }
  } cleanup{&d.jpeg};
  RequireFile(ReadHeader(d, bytes), name, ": cannot be decoded: ", d.message);
  CheckImageSize(d.jpeg.image_width, d.jpeg.image_height, name);
  const bool ink = d.jpeg.out_color_space == JCS_CMYK;
  Image image(static_cast<int>(d.jpeg.image_width), static_cast<int>(d.jpeg.image_height));
  std::vector<uint8_t> cmyk(ink ? image.pixels.size() / 3 * 4 : 0);
  RequireFile(ReadRows(d, ink ? cmyk.data() : image.pixels.data()), name,
              ": cannot be decoded: ", d.message);
  if (ink) InkToRgb(cmyk, image);
  return image;
}

}  // namespace mezzo
