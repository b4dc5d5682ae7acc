#include "mezzo/base/fuzz.h"
#include "mezzo/checkpoint/llama2c.h"

MEZZO_FUZZ_TARGET(llama2c, bytes) {
  const mezzo::MappedFile file({bytes.begin(), bytes.end()}, "fuzz.bin");
  for (const auto& [name, tensor] : mezzo::ParseLlama2c(file).tensors) tensor.Read();
}
