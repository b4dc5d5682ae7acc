#include "mezzo/base/fuzz.h"
#include "mezzo/checkpoint/llama2c.h"

MEZZO_FUZZ_TARGET(llama2c_tokenizer, bytes) {
  mezzo::ParseLlama2cTokenizer(mezzo::MappedFile({bytes.begin(), bytes.end()}, "fuzz.bin"));
}
