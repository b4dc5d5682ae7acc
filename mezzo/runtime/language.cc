#include "mezzo/runtime/language.h"

#include <algorithm>
#include <numeric>

namespace mezzo {
namespace {

Tensor Positions(int64_t n) {
  std::vector<int64_t> p(n);
  std::iota(p.begin(), p.end(), 0);
  return Tensor::Of(p, {1, n});
}

}  // namespace

TensorMap BlockInputs(const Tensor& x) { return {{"x", x}, {"positions", Positions(x.dim(0))}}; }

Tensor CopyRows(const Tensor& matrix, int64_t begin, int64_t end) {
  const int64_t width = matrix.dim(1);
  Tensor rows(DType::kFloat32, {end - begin, width});
  std::copy_n(matrix.data<float>() + begin * width, rows.numel(), rows.data<float>());
  return rows;
}

std::vector<Tensor> EmbedWindows(const LanguageModel& model, const std::vector<Window>& windows,
                                 const Threads& threads) {
  std::vector<Tensor> x(windows.size());
  threads.Each(windows.size(), [&](size_t i, size_t) { x[i] = model.Embed(windows[i], 0); });
  return x;
}

std::vector<Tensor> RunBlocks(const LanguageModel& model, const std::vector<Window>& windows,
                              const Threads& threads, const std::function<void()>& step) {
  std::vector<Tensor> x = EmbedWindows(model, windows, threads);
  for (int64_t block = 0; block < model.config().layers; ++block) {
    const Graph graph = model.Block(block);
    const Session session(graph, {});
    threads.Each(x.size(), [&](size_t i, size_t) { x[i] = session.Run(BlockInputs(x[i]))[0]; });
    if (step) step();
  }
  return x;
}

}  // namespace mezzo
