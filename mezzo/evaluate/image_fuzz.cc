#include "mezzo/base/fuzz.h"
#include "mezzo/evaluate/image.h"

MEZZO_FUZZ_TARGET(image, bytes) { mezzo::DecodeImage(bytes, "fuzz.jpg"); }
