#include "mezzo/base/fuzz.h"
#include "mezzo/import/onnx_reader.h"

MEZZO_FUZZ_TARGET(onnx, bytes) {
  mezzo::ParseOnnx({bytes.data(), bytes.size()}, "/nowhere/fuzz.onnx");
}
