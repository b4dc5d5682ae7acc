#include "mezzo/evaluate/metric.h"

#include <gtest/gtest.h>

#include <cmath>

#include "mezzo/base/files.h"
#include "mezzo/evaluate/metrics/ctc.h"
#include "mezzo/evaluate/metrics/similarity.h"

namespace mezzo {
namespace {

Sample Labelled(Label label, size_t index = 0) {
  Sample s;
  s.index = index;
  s.name = "s" + std::to_string(index);
  s.label = std::move(label);
  return s;
}

Tensor Row(const std::vector<float>& v) {
  return Tensor::Of(v, {1, static_cast<int64_t>(v.size())});
}

template <class F>
std::string Refusal(F&& f) {
  try {
    f();
  } catch (const UsageError& e) {
    return e.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return "";
}

TEST(Metric, UnknownNamesAreListed) {
  EXPECT_EQ(Refusal([] { MakeMetric("map", {}); }),
            "unknown metric 'map', known are classify, ctc, similarity, psnr, agreement, sqnr, kl, "
            "command");
  for (const char* name : {"classify", "similarity", "psnr", "agreement"})
    EXPECT_THROW(MakeMetric(name, {})->Finish(), UsageError) << name;
}

TEST(Classification, CountsTop1AndTop5) {
  const auto m = MakeMetric("classify", {});
  const Outputs out{Row({0, 1, 2, 3, 4, 5, 5})};  // of equal ones the first
  for (const int64_t label : {5, 6, 1, 3}) m->Merge(m->Measure(Labelled(label), out, nullptr));
  const MetricResult r = m->Finish();
  EXPECT_EQ(r.value, 0.25);
  EXPECT_EQ(r.details.at("top5"), 0.75);
  EXPECT_EQ(r.n, 4u);
  EXPECT_DOUBLE_EQ(r.standard_error, std::sqrt(0.25 * 0.75 / 3));
  EXPECT_NE(
      Refusal([&] { m->Measure(Labelled(int64_t{7}), out, nullptr); }).find("'s0' has class 7"),
      std::string::npos);
  EXPECT_EQ(Refusal([&] { m->Measure(Labelled({}), out, nullptr); }),
            "classify: sample 's0' has no label, needs a class index");
  EXPECT_NE(Refusal([&] {
              m->Measure(Labelled(int64_t{0}), {Row({0, NAN})}, nullptr);
            }).find("NaN"),
            std::string::npos);
}

// Scores (1, time, classes) that make these the best classes.
Tensor Path(const std::vector<int>& best, int64_t classes) {
  Tensor t = Tensor::Zeros(DType::kFloat32, {1, static_cast<int64_t>(best.size()), classes});
  for (size_t i = 0; i < best.size(); ++i) t.data<float>()[i * classes + best[i]] = 1;
  return t;
}

TEST(Ctc, MergesRepeatsDropsBlanksIgnoresSpaces) {
  const std::vector<std::string> characters = CtcCharacters("a\nb\nü");
  EXPECT_EQ(characters, (std::vector<std::string>{"", "a", "b", "ü", " "}));
  EXPECT_EQ(CtcText(Path({1, 1, 0, 1, 2, 2, 4, 3, 5}, 6), characters), "aab ü ");
  const auto m = MakeMetric("ctc", {.characters = "a\nb\nü"});
  m->Merge(m->Measure(Labelled(std::string("a a b")), {Path({1, 0, 1, 2}, 5)}, nullptr));
  const Contribution c =
      m->Measure(Labelled(std::string("aübb"), 1), {Path({1, 0, 1, 2}, 5)}, nullptr);
  EXPECT_EQ(c.score, 0.5);  // a replaced, a b missing, of 4
  m->Merge(c);
  const MetricResult r = m->Finish();
  EXPECT_EQ(r.value, 0.5);
  EXPECT_DOUBLE_EQ(r.details.at("character_accuracy"), 1 - 2.0 / 7);
  EXPECT_NE(Refusal([] { MakeMetric("ctc", {}); }).find("`character`"), std::string::npos);
}

TEST(Ctc, EditDistanceAndCodePoints) {
  EXPECT_EQ(EditDistance(U"kitten", U"sitting"), 3u);
  EXPECT_EQ(EditDistance(U"", U"abc"), 3u);
  EXPECT_EQ(CodePoints("aü€😀"), U"aü€😀");
  EXPECT_EQ(CodePoints("\xff\xc3"), (std::u32string{0xff, 0xc3}));
}

TEST(Similarity, SpearmanWithTiesIsThatOfScipy) {
  EXPECT_DOUBLE_EQ(Spearman(std::vector<double>{1, 2, 3, 4}, std::vector<double>{2, 4, 6, 8}), 1);
  EXPECT_DOUBLE_EQ(Spearman(std::vector<double>{1, 2, 3, 4}, std::vector<double>{4, 3, 2, 1}), -1);
  // scipy.stats.spearmanr([1,2,2,3,5],[2,1,3,3,9])
  EXPECT_NEAR(Spearman(std::vector<double>{1, 2, 2, 3, 5}, std::vector<double>{2, 1, 3, 3, 9}),
              0.763157894736842, 1e-12);
}

TEST(Similarity, PoolsByMaskAndPairsInOrder) {
  const auto m = MakeMetric("similarity", {});
  const auto add = [&](double score, const std::vector<float>& token, float junk) {
    Sample s = Labelled(score);
    s.inputs["attention_mask"] = Tensor::Of<int64_t>({1, 0}, {1, 2});
    m->Merge(
        m->Measure(s, {Tensor::Of<float>({token[0], token[1], junk, junk}, {1, 2, 2})}, nullptr));
  };
  add(1, {1, 0}, 5), add(1, {0, 1}, -9);  // cosine 0
  add(5, {1, 0}, 3), add(5, {2, 0}, -2);  // 1
  add(3, {1, 0}, 3), add(3, {1, 1}, -2);  // 0.7
  const MetricResult r = m->Finish();
  EXPECT_DOUBLE_EQ(r.value, 1);
  EXPECT_EQ(r.n, 3u);
  add(3, {1, 0}, 3);
  EXPECT_NE(Refusal([&] { m->Finish(); }).find("lacks its partner"), std::string::npos);
}

TEST(Psnr, RoundsAndShaves) {
  const Tensor target = Tensor::Zeros(DType::kFloat32, {1, 1, 3, 3});
  Tensor out = target.Clone();
  out.data<float>()[4] = 10.2f / 255;  // rounds to 10
  out.data<float>()[0] = -7;           // clipped to 0
  const auto value = [&](const MetricOptions& o) {
    return MakeMetric("psnr", o)->Measure(Labelled(target), {out}, nullptr).score;
  };
  EXPECT_DOUBLE_EQ(value({}), 10 * std::log10(255.0 * 255 / (100.0 / 9)));
  EXPECT_DOUBLE_EQ(value({.border = 1}), 10 * std::log10(255.0 * 255 / 100));
  EXPECT_NEAR(value({.round_to_8_bits = false}), 10 * std::log10(9 / (49 + 0.04 * 0.04)), 1e-5);
  EXPECT_THROW(value({.border = 2}), UsageError);
  EXPECT_EQ(MakeMetric("psnr", {})->Measure(Labelled(target), {target}, nullptr).score, 100);
}

TEST(Agreement, Top1SqnrAndKl) {
  const Outputs x{Row({1, 2, 3})}, y{Row({1, 2, 2.5f})}, z{Row({3, 2, 1})};
  const auto m = MakeMetric("agreement", {});
  m->Merge(m->Measure(Labelled({}), x, &y));
  m->Merge(m->Measure(Labelled({}), z, &x));
  const MetricResult r = m->Finish();
  EXPECT_EQ(r.value, 0.5);
  EXPECT_NEAR(r.details.at("sqnr_db"), 10 * std::log10((11.25 + 14) / (0.25 + 8)), 1e-9);
  // By hand: KL(softmax(reference) || softmax(output)).
  const auto kl = [](std::vector<double> p, std::vector<double> q) {
    double a = 0, b = 0, sum = 0;
    for (size_t i = 0; i < 3; ++i) a += std::exp(p[i]), b += std::exp(q[i]);
    for (size_t i = 0; i < 3; ++i)
      sum += std::exp(p[i]) / a * (p[i] - std::log(a) - q[i] + std::log(b));
    return sum;
  };
  EXPECT_NEAR(r.details.at("kl"), (kl({1, 2, 2.5}, {1, 2, 3}) + kl({1, 2, 3}, {3, 2, 1})) / 2,
              1e-12);
  EXPECT_EQ(MakeMetric("sqnr", {})->Measure(Labelled({}), x, &x).score, 200);
  EXPECT_FALSE(MakeMetric("kl", {})->higher_is_better());
  EXPECT_THROW(m->Measure(Labelled({}), x, nullptr), UsageError);
}

TEST(Agreement, TakesProbabilitiesAndImagesOfClasses) {
  const Outputs p{Row({0.5f, 0.5f})}, q{Row({0.25f, 0.75f})};
  EXPECT_NEAR(MakeMetric("kl", {})->Measure(Labelled({}), q, &p).score,
              -(0.5 * std::log(2) + 0.5 * std::log(2.0 / 3)), 1e-7);
  // (1, 2 classes, 1, 2): classes along axis 1.
  const Outputs a{Tensor::Of<float>({5, 0, 0, 5}, {1, 2, 1, 2})},
      b{Tensor::Of<float>({5, 6, 0, 5}, {1, 2, 1, 2})};
  EXPECT_EQ(MakeMetric("agreement", {})->Measure(Labelled({}), a, &b).score, 0.5);
}

TEST(Command, RunsOverTheOutputs) {
  const auto run = [](const std::string& command) {
    const auto m = MakeMetric("command", {.command = command, .output_names = {"y"}});
    for (size_t i = 0; i < 3; ++i)
      m->Merge(m->Measure(Labelled(std::string("t"), i), {Row({1})}, nullptr));
    return m->Finish();
  };
  EXPECT_EQ(run("sh -c 'ls \"$1\" | grep -c npz' x").value, 3);
  const MetricResult named = run("printf 'mAP 0.5\\n' #");
  EXPECT_EQ(named.name, "mAP");
  EXPECT_EQ(named.value, 0.5);
  EXPECT_EQ(run("sh -c 'wc -l < \"$1/samples.csv\"' x").value, 4);
  EXPECT_EQ(Refusal([&] { run("echo broken >&2; false"); }),
            "metric command 'echo broken >&2; false' failed with status 1:\nbroken");
  EXPECT_NE(Refusal([&] { run("echo no number #"); }).find("answered 'no number'"),
            std::string::npos);
}

TEST(RunningMean, IsThatOfTheDefinition) {
  RunningMean m;
  for (const double x : {1.0, 2.0, 4.0}) m.Add(x);
  EXPECT_DOUBLE_EQ(m.mean(), 7.0 / 3);
  EXPECT_DOUBLE_EQ(m.standard_error(), std::sqrt((16.0 / 9 + 1.0 / 9 + 25.0 / 9) / 2 / 3));
}

}  // namespace
}  // namespace mezzo
