#include "mezzo/base/fuzz.h"
#include "mezzo/evaluate/labels_csv.h"

MEZZO_FUZZ_TARGET(labels, bytes) {
  mezzo::ParseLabels({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, "labels.csv");
}
