#include "mezzo/base/fuzz.h"
#include "mezzo/import/llm/config.h"

MEZZO_FUZZ_TARGET(llm_config, bytes) {
  mezzo::ParseHfConfig({bytes.begin(), bytes.end()}, "fuzz.json");
}
