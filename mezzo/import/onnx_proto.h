// The generated ONNX schema: the one place that includes it.
#pragma once

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include "onnx-ml.pb.h"
#pragma GCC diagnostic pop
