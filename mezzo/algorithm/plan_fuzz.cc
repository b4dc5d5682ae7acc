#include "mezzo/algorithm/plan.h"
#include "mezzo/base/fuzz.h"

MEZZO_FUZZ_TARGET(plan, bytes) {
  const mezzo::Plan plan = mezzo::PlanFromJson({bytes.begin(), bytes.end()}, "fuzz.json");
  mezzo::PlanFromJson(mezzo::ToJson(plan),
                      "again.json");  // what was accepted can be written and read
}
