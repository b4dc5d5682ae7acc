#include "mezzo/algorithm/sensitivity/sensitivity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

#include "mezzo/algorithm/sensitivity/rankings.h"
#include "mezzo/runtime/gradient/rule.h"

namespace mezzo {
namespace {

Tensor Random(Shape shape, unsigned seed, float size = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> draw(0, size);
  Tensor t(DType::kFloat32, std::move(shape));
  for (float& v : t.span<float>()) v = draw(random);
  return t;
}

// Two layers: a convolution (3 to 4 channels) and, after a mean over pixels, a matrix (4, 5).
Graph TwoLayers() {
  Graph g;
  g.inputs = {{"x", DType::kFloat32, {1, 3, 6, 6}, {}, true}};
  g.initializers["cw"] = Random({4, 3, 3, 3}, 1, 0.3f);
  g.initializers["mw"] = Random({4, 5}, 2);
  g.nodes.push_back({"Conv", "", "conv", {"x", "cw"}, {"c"}, {}});
  g.nodes.push_back({"GlobalAveragePool", "", "pool", {"c"}, {"p"}, {}});
  g.nodes.push_back({"Flatten", "", "flat", {"p"}, {"f"}, {}});
  g.nodes.push_back({"MatMul", "", "matrix", {"f", "mw"}, {"y"}, {}});
  g.outputs = {{"y"}};
  return g;
}

SampleFn Samples() {
  return [](size_t i) {
    return TensorMap{{"x", Random({1, 3, 6, 6}, 100 + static_cast<unsigned>(i))}};
  };
}

// The loss when one layer's weight is changed by `by` times its delta.
double TrueLoss(const Graph& g, const std::string& weight, const Tensor& delta, float by,
                DistortionKind kind, size_t count) {
  Graph changed = g;
  changed.initializers[weight] = g.initializers.at(weight).Clone();
  for (int64_t i = 0; i < delta.numel(); ++i)
    changed.initializers[weight].data<float>()[i] += by * delta.data<float>()[i];
  const Session a(g, {}), b(changed, {});
  double sum = 0;
  for (size_t i = 0; i < count; ++i)
    sum += OutputLoss(kind, a.Run(Samples()(i)), b.Run(Samples()(i)));
  return sum / static_cast<double>(count);
}

// Against differences: losses are smooth, and a step of 1e-3 leaves 1e-6 of third derivatives and
// as much of what float32 rounds in outputs, over the step.
TEST(OutputLoss, HasItsGradient) {
  for (const DistortionKind kind : {DistortionKind::kRelativeError, DistortionKind::kKlLogits,
                                    DistortionKind::kKlProbabilities}) {
    std::vector<Tensor> f{Random({3, 4}, 1)}, q{Random({3, 4}, 2)};
    if (kind == DistortionKind::kKlProbabilities)
      for (Tensor* t : {&f[0], &q[0]}) *t = RunOp("Softmax", {*t}, {}, {});
    if (kind == DistortionKind::kRelativeError)
      f.push_back(Random({2}, 3)), q.push_back(Random({2}, 4));
    const std::vector<Tensor> g = OutputLossGradient(kind, f, q);
    for (size_t o = 0; o < q.size(); ++o)
      for (int64_t i = 0; i < q[o].numel(); ++i) {
        const auto moved = [&](float by) {
          std::vector<Tensor> m = q;
          m[o] = q[o].Clone();
          m[o].data<float>()[i] += by;
          return OutputLoss(kind, f, m);
        };
        const double want = (moved(1e-3f) - moved(-1e-3f)) / 2e-3;
        EXPECT_NEAR(g[o].data<float>()[i], want, 1e-3 * (1 + std::fabs(want)));
      }
  }
}

class SensitivityKinds : public testing::TestWithParam<DistortionKind> {};

// To second order the mean over probes is the loss that was asked for. 4000 probes of a squared
// normal variable: a relative standard error of sqrt(2 / 4000) = 2.2%, and heavier tails here.
TEST_P(SensitivityKinds, ForetellsTheLoss) {
  const Graph g = TwoLayers();
  constexpr size_t kSamples = 20, kProbes = 200;
  const Tensor dc = Random({4, 3, 3, 3}, 3, 0.02f), dm = Random({4, 5}, 4, 0.05f);
  SensitivityPass pass(g, {{"conv", {dc}}, {"matrix", {dm}}}, {}, {}, kSamples, true, {});
  for (size_t i = 0; i < kSamples; ++i) {
    const Tape tape = pass.Forward(Samples()(i));
    for (size_t p = 0; p < kProbes; ++p)
      pass.Add(i, tape, DrawProbe(GetParam(), tape.outputs, i * kProbes + p));
  }
  const auto found = pass.Results(kSamples * kProbes);
  const double conv = TrueLoss(g, "cw", dc, 0.1f, GetParam(), kSamples) * 100;
  const double matrix = TrueLoss(g, "mw", dm, 0.1f, GetParam(), kSamples) * 100;
  EXPECT_NEAR(found[0].full[0] / conv, 1, 0.15);
  EXPECT_NEAR(found[1].full[0] / matrix, 1, 0.15);
  EXPECT_GT(found[0].trace, 0);
  EXPECT_GT(found[1].outputs[0], 0);
}

INSTANTIATE_TEST_SUITE_P(Kinds, SensitivityKinds,
                         testing::Values(DistortionKind::kRelativeError,
                                         DistortionKind::kKlLogits));

// Whatever the sizes, the draws of a sample stand for it as much as those of any other.
TEST(SpreadProbes, MeansAreMeansOverSamples) {
  const std::vector<double> sizes{0, 1e-9, 0.5, 0.1, 3, 0.5};
  std::vector<double> weight(sizes.size());
  constexpr size_t kSeeds = 400, kCount = 20;
  size_t most = 0;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const std::vector<ProbeDraw> draws = SpreadProbes(sizes, kCount, seed);
    ASSERT_EQ(draws.size(), kCount);
    for (const ProbeDraw& d : draws) {
      weight[d.sample] += d.scale * d.scale / (kSeeds * kCount);
      most += d.sample == 4;
    }
  }
  for (const double w : weight) EXPECT_NEAR(w, 1.0 / 6, 0.02);
  EXPECT_GT(most, kSeeds * kCount / 2);
}

TEST(SpreadProbes, TakesAllAlikeIfNoneCanMove) {
  const std::vector<ProbeDraw> draws = SpreadProbes({0, 0, 0}, 6, 1);
  ASSERT_EQ(draws.size(), 6u);
  for (const ProbeDraw& d : draws) EXPECT_NEAR(d.scale, 1, 1e-6);
  EXPECT_EQ(draws[0].sample, 0u);
  EXPECT_EQ(draws[5].sample, 2u);
}

TEST(Sensitivity, IsTheSameForAnyNumberOfThreads) {
  const Graph g = TwoLayers();
  const auto run = [&](size_t threads) {
    SensitivityTask task;
    task.sample = Samples();
    task.count = 24;
    task.outputs = 2;
    task.probe = [](size_t i, const std::vector<Tensor>& outputs) {
      return DrawProbe(DistortionKind::kKlLogits, outputs, i);
    };
    return MeasureSensitivity(
               g, {{"conv", {Random({4, 3, 3, 3}, 3)}}, {"matrix", {Random({4, 5}, 4)}}}, {}, task,
               Threads(threads))
        .layers;
  };
  const auto one = run(1), three = run(3);
  for (size_t l = 0; l < 2; ++l) {
    EXPECT_EQ(one[l].full, three[l].full);
    EXPECT_EQ(one[l].rows, three[l].rows);
    EXPECT_EQ(one[l].outputs, three[l].outputs);
    EXPECT_EQ(one[l].trace, three[l].trace);
  }
}

// A matrix (in, out) and its transpose in a Gemm are the same layer.
TEST(Sensitivity, DoesNotDependOnTheWeightsLayout) {
  Graph g = TwoLayers(), t = TwoLayers();
  const auto turn = [](const Tensor& m) {
    Tensor r(DType::kFloat32, {m.dim(1), m.dim(0)});
    for (int64_t i = 0; i < m.dim(0); ++i)
      for (int64_t j = 0; j < m.dim(1); ++j)
        r.data<float>()[j * m.dim(0) + i] = m.data<float>()[i * m.dim(1) + j];
    return r;
  };
  t.initializers["mw"] = turn(g.initializers["mw"]);
  t.nodes[3] = {"Gemm", "", "matrix", {"f", "mw"}, {"y"}, {{"transB", int64_t{1}}}};
  const Tensor delta = Random({4, 5}, 4);
  SensitivityTask task;
  task.sample = Samples();
  task.count = 4;
  task.probe = [](size_t i, const std::vector<Tensor>& outputs) {
    return DrawProbe(DistortionKind::kKlLogits, outputs, i);
  };
  const auto a = MeasureSensitivity(g, {{"matrix", {delta}}}, {}, task, {}).layers;
  const auto b = MeasureSensitivity(t, {{"matrix", {turn(delta)}}}, {}, task, {}).layers;
  EXPECT_NEAR(a[0].full[0], b[0].full[0], 1e-6 * a[0].full[0]);
  EXPECT_NEAR(a[0].rows[0], b[0].rows[0], 1e-6 * a[0].rows[0]);
  EXPECT_NEAR(a[0].elements[0], b[0].elements[0], 1e-6 * a[0].elements[0]);
}

// An activation that doubles does what a weight does that doubles.
TEST(Sensitivity, OfActivationsIsThatOfWeights) {
  const Graph g = TwoLayers();
  SensitivityTask task;
  task.sample = Samples();
  task.count = 6;
  task.probe = [](size_t i, const std::vector<Tensor>& outputs) {
    return DrawProbe(DistortionKind::kKlLogits, outputs, i);
  };
  const auto twice = [](std::span<const float> a, float* q) {
    for (size_t i = 0; i < a.size(); ++i) q[i] = 2 * a[i];
  };
  const auto same = [](std::span<const float> a, float* q) { std::copy(a.begin(), a.end(), q); };
  const auto found = MeasureSensitivity(g, {{"matrix", {g.initializers.at("mw")}}},
                                        {{"f", {twice, same}}, {"x", {twice}}}, task, {});
  EXPECT_NEAR(found.activations[0].loss[0], found.layers[0].full[0],
              1e-5 * found.layers[0].full[0]);
  EXPECT_EQ(found.activations[0].loss[1], 0);
  EXPECT_GT(found.activations[1].loss[0], 0);
}

TEST(Sensitivity, RefusesWhatDoesNotFit) {
  const Graph g = TwoLayers();
  EXPECT_THROW(SensitivityPass(g, {{"nothing", {}}}, {}, {}, 1, false, {}), UsageError);
  EXPECT_THROW(SensitivityPass(g, {{"pool", {}}}, {}, {}, 1, false, {}), UsageError);
  EXPECT_THROW(SensitivityPass(g, {{"conv", {Random({2, 2}, 1)}}}, {}, {}, 1, false, {}),
               UsageError);
  const std::vector<Tensor> logits{Random({1, 5}, 1)};
  EXPECT_THROW(LabelProbe(DistortionKind::kKlLogits, logits, 5), UsageError);
  EXPECT_THROW(LabelProbe(DistortionKind::kKlLogits, {Random({2, 5}, 1)}, 0), UsageError);
}

// The mean of u is zero and its covariance diag(p) - p p^T.
TEST(Probe, HasTheCovarianceOfItsDistribution) {
  const std::vector<Tensor> logits{Tensor::Of<float>({0.5f, -1, 2}, {1, 3})};
  double p[3], sum = 0;
  for (int i = 0; i < 3; ++i) sum += p[i] = std::exp(logits[0].data<float>()[i]);
  for (double& v : p) v /= sum;
  constexpr int kDraws = 20000;  // standard errors below 0.004
  double mean[3] = {}, square[3][3] = {};
  for (int d = 0; d < kDraws; ++d) {
    const Tensor u = DrawProbe(DistortionKind::kKlLogits, logits, d)[0];
    for (int i = 0; i < 3; ++i) {
      mean[i] += u.data<float>()[i] / kDraws;
      for (int j = 0; j < 3; ++j)
        square[i][j] += static_cast<double>(u.data<float>()[i]) * u.data<float>()[j] / kDraws;
    }
  }
  for (int i = 0; i < 3; ++i) {
    EXPECT_NEAR(mean[i], 0, 0.02);
    for (int j = 0; j < 3; ++j)
      EXPECT_NEAR(square[i][j], (i == j ? p[i] : 0) - p[i] * p[j], 0.02) << i << j;
  }
}

TEST(Rankings, AgreeWithTheirFormulas) {
  const Graph g = TwoLayers();
  RankedLayer conv{"conv",
                   g.initializers.at("cw"),
                   {Random({4, 3, 3, 3}, 1), Random({4, 3, 3, 3}, 2)},
                   {2, 8},
                   {1.5, 6}};
  RankedLayer matrix{"matrix", g.initializers.at("mw"), {Random({4, 5}, 3)}, {4}, {3}};
  std::vector<LayerSensitivity> measured(2);
  measured[0].trace = 108;
  measured[1].trace = 20;
  const Scores hawq = HawqScores({conv, matrix}, measured);
  EXPECT_DOUBLE_EQ(hawq[0][1], SquaredNorm(conv.deltas[1]));
  EXPECT_DOUBLE_EQ(hawq[1][0], SquaredNorm(matrix.deltas[0]));
  const Scores sqnr = SqnrScores({conv, matrix});
  EXPECT_DOUBLE_EQ(sqnr[0][0], SquaredNorm(conv.deltas[0]) / SquaredNorm(conv.weight));
  const Scores eagl = EaglScores({conv, matrix});
  EXPECT_EQ(eagl[0], (std::vector<double>{4.5, 0}));
  const Scores ompq = OmpqScores(g, {conv, matrix}, Samples(), 8, Threads(2));
  EXPECT_GT(ompq[0][0], 0);
  EXPECT_EQ(ompq[0][1], 0);  // nothing is missing
}

TEST(Rankings, RankCorrelation) {
  EXPECT_DOUBLE_EQ(RankCorrelation({1, 2, 3}, {10, 100, 1000}), 1);
  EXPECT_DOUBLE_EQ(RankCorrelation({1, 2, 3}, {3, 2, 1}), -1);
  // scipy.stats.spearmanr([1, 2, 2, 4, 5], [3, 1, 4, 4, 9])
  EXPECT_NEAR(RankCorrelation({1, 2, 2, 4, 5}, {3, 1, 4, 4, 9}), 0.7631578947368421, 1e-12);
  EXPECT_TRUE(std::isnan(RankCorrelation({1}, {1})));
}

}  // namespace
}  // namespace mezzo
