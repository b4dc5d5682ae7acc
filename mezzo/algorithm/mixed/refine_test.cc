#include "mezzo/algorithm/mixed/refine.h"

#include <gtest/gtest.h>

namespace mezzo {
namespace {

LayerChoices Layer(const std::string& name, double loss4) {
  return {name,
          {{"int4", 4, 50, {50}, loss4, false},
           {"int8", 8, 100, {100}, 0.001, false},
           {"float32", 32, 400, {400}, 0, false}},
          ""};
}

// Predictions have the layers the wrong way round; giving them back tells.
TEST(RefineChoice, FindsWhatPredictionsHide) {
  const std::vector<LayerChoices> layers{Layer("a", 0.2), Layer("b", 0.3)};
  const std::vector<Budget> limits{{"size", 150, 0}};
  const Choice first = ChooseOptions(layers, limits);
  ASSERT_EQ(first.options, (std::vector<size_t>{0, 1}));
  size_t steps = 0;
  const auto measure = [](const std::vector<size_t>& options) {
    return (options[0] == 0 ? 0.9 : 0) + (options[1] == 0 ? 0.1 : 0);
  };
  const Refinement r = RefineChoice({first}, layers, limits, 3, measure, [&] { ++steps; });
  EXPECT_EQ(r.best.options, (std::vector<size_t>{1, 0}));
  EXPECT_EQ(r.before, 0.9);
  EXPECT_EQ(r.after, 0.1);
  EXPECT_EQ(steps, 6U);
  EXPECT_DOUBLE_EQ(r.best.loss, 0.301);  // as predicted first
  EXPECT_EQ(r.best.answer.loss, first.answer.loss);
}

// Without rounds it is the start that measures best.
TEST(RefineChoice, BeginsAtTheBestStart) {
  const std::vector<LayerChoices> layers{Layer("a", 0.2), Layer("b", 0.3)};
  const std::vector<Budget> limits{{"size", 150, 0}};
  const Choice first = ChooseOptions(layers, limits);
  Choice other = first;
  other.options = {1, 0};
  const auto measure = [](const std::vector<size_t>& options) { return options[0] ? 0.1 : 0.2; };
  EXPECT_EQ(RefineChoice({first, other}, layers, limits, 0, measure, [] {}).best.options,
            other.options);
}

}  // namespace
}  // namespace mezzo
