#include "mezzo/cli/probe_task.h"

namespace mezzo {

SensitivityTask ProbeTask(const Int8Setup& setup, bool labels, std::vector<ProbeDraw> draws) {
  SensitivityTask task;
  task.count = draws.size();
  task.sample = [&setup, draws](size_t i) { return setup.CalibrationInputs(draws[i].sample); };
  task.probe = [&setup, labels, draws](size_t i, const std::vector<Tensor>& outputs) {
    const DistortionKind kind = setup.task.distortion;
    std::vector<Tensor> u;
    if (labels) {
      const Sample s = setup.dataset->Get(setup.split.calibration[draws[i].sample]);
      u = LabelProbe(kind, outputs, LabelAs<int64_t>(s, "--targets labels", "a class index"));
    } else {
      u = DrawProbe(kind, outputs, setup.data.seed * 1000003 + i);
    }
    for (Tensor& t : u)
      if (t.defined())
        for (float& v : t.span<float>()) v *= draws[i].scale;
    return u;
  };
  return task;
}

}  // namespace mezzo
