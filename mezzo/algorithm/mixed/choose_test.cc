#include "mezzo/algorithm/mixed/choose.h"

#include <gtest/gtest.h>

#include <cmath>

#include "mezzo/base/error.h"

namespace mezzo {
namespace {

LayerChoices Layer(const std::string& name, double loss4, double loss8, int64_t weights) {
  return {name,
          {{"int4", 4, weights / 2, {weights / 2}, loss4, false},
           {"int8", 8, weights, {weights}, loss8, false},
           {"float32", 32, 4 * weights, {4 * weights}, 0, false}},
          ""};
}

TEST(ChooseOptions, GivesBitsWhereTheyCount) {
  const std::vector<LayerChoices> layers{Layer("a", 1, 0.01, 100), Layer("b", 0.1, 0.01, 100)};
  const Choice c = ChooseOptions(layers, {{"size", 190, 40}});
  EXPECT_EQ(c.options, (std::vector<size_t>{1, 0}));
  EXPECT_DOUBLE_EQ(c.loss, 0.11);
  EXPECT_EQ(c.costs, (std::vector<int64_t>{190}));
  EXPECT_TRUE(c.answer.proven);
  EXPECT_NEAR(static_cast<double>(c.answer.loss) * c.loss_unit, c.loss, 4 * c.loss_unit);
}

TEST(ChooseOptions, HoldsTiesAndExclusions) {
  std::vector<LayerChoices> layers{Layer("a", 1, 0.01, 100), Layer("b", 0.1, 0.01, 100)};
  layers[0].tie = layers[1].tie = "together";
  EXPECT_EQ(ChooseOptions(layers, {{"size", 190, 40}}).options, (std::vector<size_t>{0, 0}));
  EXPECT_EQ(ChooseOptions(layers, {{"size", 240, 40}}).options, (std::vector<size_t>{1, 1}));
  layers = {Layer("a", 1, 0.01, 100), Layer("b", 0.1, 0.01, 100)};
  layers[1].options[0].excluded = layers[1].options[1].excluded = true;
  EXPECT_EQ(ChooseOptions(layers, {{"size", 500, 40}}).options, (std::vector<size_t>{0, 2}));
}

std::string Refusal(const std::vector<LayerChoices>& layers, int64_t limit) {
  try {
    ChooseOptions(layers, {{"size", limit, 40}});
  } catch (const UsageError& e) {
    return e.what();
  }
  return "";
}

TEST(ChooseOptions, SaysTheSmallestBudget) {
  EXPECT_NE(Refusal({Layer("a", 1, 0.1, 100)}, 80).find("at least 90"), std::string::npos);
  EXPECT_NE(Refusal({Layer("a", 1, 0.1, 100)}, 30).find("at least 90"), std::string::npos);
  EXPECT_NE(Refusal({Layer("a", 1, 0.1, 0)}, 30).find("at least 40"), std::string::npos);
}

TEST(ChooseOptions, NamesLossesThatAreNone) {
  for (const double bad : {std::nan(""), double{INFINITY}, -1.0}) {
    const std::string why = Refusal({Layer("a", 1, bad, 100)}, 1000);
    EXPECT_NE(why.find("a"), std::string::npos);
    EXPECT_NE(why.find("int8"), std::string::npos) << why;
  }
}

TEST(Hull, RunsFromTheCheapestToTheBest) {
  const std::vector<HullPoint> hull =
      Hull({Layer("a", 1, 0.01, 100), Layer("b", 0.1, 0.01, 100)}, 40);
  ASSERT_FALSE(hull.empty());
  EXPECT_EQ(hull.front().cost, 140);
  EXPECT_NEAR(hull.front().loss, 1.1, 1e-12);
  EXPECT_EQ(hull.back().cost, 840);
  EXPECT_EQ(hull.back().loss, 0);
}

TEST(Ties, OfLayersThatReadTheSameValue) {
  EXPECT_EQ(TiesOfSharedInputs({"x", "y", "x", "z"}), (std::vector<std::string>{"x", "", "x", ""}));
}

}  // namespace
}  // namespace mezzo
