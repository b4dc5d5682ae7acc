#include "mezzo/base/fuzz.h"
#include "mezzo/checkpoint/safetensors.h"

MEZZO_FUZZ_TARGET(safetensors, bytes) {
  const mezzo::MappedFile file({bytes.begin(), bytes.end()}, "fuzz.safetensors");
  for (const auto& [name, tensor] : mezzo::ParseSafetensors(file).tensors) tensor.Read();
}
