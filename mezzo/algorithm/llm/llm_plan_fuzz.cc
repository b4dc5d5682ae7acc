#include "mezzo/algorithm/llm/llm_plan.h"
#include "mezzo/base/fuzz.h"

MEZZO_FUZZ_TARGET(llm_plan, bytes) {
  const mezzo::LlmPlan plan = mezzo::LlmPlanFromJson({bytes.begin(), bytes.end()}, "fuzz.json");
  mezzo::LlmPlanFromJson(mezzo::ToJson(plan), "again.json");
}
