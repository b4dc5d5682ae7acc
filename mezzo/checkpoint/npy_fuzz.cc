#include "mezzo/base/fuzz.h"
#include "mezzo/checkpoint/npy.h"

MEZZO_FUZZ_TARGET(npy, bytes) {
  mezzo::NpyArray(mezzo::ByteSource({bytes.begin(), bytes.end()}, "fuzz.npy")).Read();
}
