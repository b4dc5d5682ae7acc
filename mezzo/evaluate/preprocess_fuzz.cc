#include <nlohmann/json.hpp>

#include "mezzo/base/fuzz.h"
#include "mezzo/evaluate/preprocess.h"

// What is accepted must survive the way to JSON and back, and apply to a small picture.
MEZZO_FUZZ_TARGET(preprocess, bytes) {
  const auto json =
      nlohmann::json::parse(bytes.begin(), bytes.end(), nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return;
  const mezzo::Preprocess p = mezzo::PreprocessFromJson(json);
  if (!(mezzo::PreprocessFromJson(ToJson(p)) == p)) __builtin_trap();
  const bool small = p.resize.height <= 512 && p.resize.width <= 512 && p.resize.min_width <= 512 &&
                     p.fixed_width <= 512 && p.width_multiple <= 512;
  if (small) p.Apply(mezzo::Image(7, 5));
}
