#include "mezzo/base/fuzz.h"
#include "mezzo/checkpoint/gguf.h"

MEZZO_FUZZ_TARGET(gguf, bytes) {
  const mezzo::MappedFile file({bytes.begin(), bytes.end()}, "fuzz.gguf");
  for (const auto& [name, tensor] : mezzo::ParseGguf(file).tensors) tensor.Read();
}
