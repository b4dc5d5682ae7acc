// OMPQ (Ma et al. 2021, https://arxiv.org/abs/2109.07865): layers whose features are orthogonal to
// all others' get more bits. With X_i the features of layer i on n samples and K_i = X_i X_i^T,
//   ORM_ij = |X_j^T X_i|_F^2 / (|X_i^T X_i|_F |X_j^T X_j|_F) = <K_i, K_j> / (|K_i| |K_j|),
//   gamma_i = sum_j ORM_ij - 1,    theta_i = exp(-beta gamma_i),
// and sum_i theta_i bits_i is to be large. As a cost: theta_i times the bits that are missing.
#include <algorithm>
#include <cmath>
#include <mutex>

#include "mezzo/algorithm/sensitivity/rankings.h"

namespace mezzo {
namespace {

constexpr double kBeta = 1;
constexpr size_t kFeatures = 4096;  // of a layer and sample that are looked at, evenly spread

std::vector<float> Features(const Tensor& any) {
  const Tensor t = any.ToLayout(Layout::kPlain);
  const int64_t n = std::min<int64_t>(t.numel(), kFeatures);
  std::vector<float> f(n);
  for (int64_t i = 0; i < n; ++i) f[i] = t.data<float>()[i * t.numel() / n];
  return f;
}

double Inner(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

std::vector<double> Gram(const std::vector<std::vector<float>>& x) {
  const size_t n = x.size();
  std::vector<double> k(n * n);
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j <= i; ++j) {
      double sum = 0;
      const size_t common = std::min(x[i].size(), x[j].size());
      for (size_t f = 0; f < common; ++f) sum += static_cast<double>(x[i][f]) * x[j][f];
      k[i * n + j] = k[j * n + i] = sum;
    }
  return k;
}

}  // namespace

Scores OmpqScores(const Graph& graph, const std::vector<RankedLayer>& layers,
                  const SampleFn& sample, size_t count, const Threads& threads) {
  std::map<std::string, size_t> index;  // of layers, by node
  for (size_t l = 0; l < layers.size(); ++l) index[layers[l].node] = l;
  std::vector<std::vector<std::vector<float>>> features(layers.size(),
                                                        std::vector<std::vector<float>>(count));
  const Session session(graph, {});
  threads.Each(count, [&](size_t i, size_t) {
    session.Run(sample(i), [&](const Node& node, size_t output, Tensor& value) {
      const auto it = index.find(node.name);
      if (output == 0 && it != index.end()) features[it->second][i] = Features(value);
    });
  });
  std::vector<std::vector<double>> grams;
  for (const auto& f : features) grams.push_back(Gram(f));
  Scores scores;
  for (size_t i = 0; i < layers.size(); ++i) {
    double gamma = -1;
    for (size_t j = 0; j < layers.size(); ++j)
      gamma += Inner(grams[i], grams[j]) /
               std::sqrt(std::max(Inner(grams[i], grams[i]) * Inner(grams[j], grams[j]), 1e-300));
    const double theta = std::exp(-kBeta * gamma);
    const double most = *std::max_element(layers[i].bits.begin(), layers[i].bits.end());
    scores.emplace_back();
    for (const double bits : layers[i].bits) scores.back().push_back(theta * (most - bits));
  }
  return scores;
}

}  // namespace mezzo
