#include "mezzo/base/fuzz.h"
#include "mezzo/checkpoint/npz.h"

MEZZO_FUZZ_TARGET(npz, bytes) {
  const mezzo::NpzFile file(mezzo::ByteSource({bytes.begin(), bytes.end()}, "fuzz.npz"));
  for (const std::string& name : file.names()) file.Read(name);
}
