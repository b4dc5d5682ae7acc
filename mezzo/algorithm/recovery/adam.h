// Adam (Kingma and Ba, https://arxiv.org/abs/1412.6980) over named matrices, with a rate that is
// relative to the size of each matrix's elements.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "mezzo/checkpoint/checkpoint.h"
#include "mezzo/import/llm/shards.h"

namespace mezzo {

class Adam {
 public:
  // Keeps the tensor, whose storage every step changes.
  void Add(const std::string& name, const Tensor& values);
  bool Has(const std::string& name) const { return matrices_.contains(name); }
  void AddGradient(const std::string& name, const Tensor& g);
  // What was added since the last step.
  std::span<const float> Gradient(const std::string& name) const {
    return matrices_.at(name).gradient;
  }
  // One step along the gradients that were added, times `scale`; forgets them.
  void Step(double rate, double scale);

  // Values and moments, for a job that is stopped.
  std::vector<TensorBytes> Write() const;
  void Read(const Checkpoint& state);

 private:
  struct Matrix {
    Tensor values;
    std::vector<float> gradient, mean, square;
    float size = 1;  // root mean square of the values at the start
  };
  std::map<std::string, Matrix> matrices_;
  int64_t steps_ = 0;
};

}  // namespace mezzo
