// Answers are compared with those of all choices tried, and their certificates checked without the
// solver's code.
#include "mezzo/solver/knapsack.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

#include "mezzo/base/error.h"
#include "mezzo/solver/front.h"
#include "mezzo/solver/knapsack_checks.h"
#include "mezzo/solver/testing.h"

namespace mezzo {
namespace {

using namespace knapsack_checks;

// Small numbers, so that equal ones, dominated options and budgets that just fit are frequent.
KnapsackInstance Small(KnapsackRandom& random, int budgets) {
  KnapsackInstance instance;
  const int64_t range = int64_t{2} << random.Below(12);
  std::vector<int64_t> most(budgets);
  const int64_t classes = 1 + random.Below(6);
  for (int64_t l = 0; l < classes; ++l) {
    KnapsackClass c{"c" + std::to_string(l), {}, ""};
    for (int64_t j = 0, options = 1 + random.Below(5); j < options; ++j) {
      KnapsackOption option{
          "o" + std::to_string(j), random.Below(range), {}, j > 0 && random.Below(8) == 0};
      for (int b = 0; b < budgets; ++b) option.costs.push_back(random.Below(range));
      c.options.push_back(option);
    }
    if (l > 0 && random.Below(4) == 0) {  // tied to the class before, with other numbers
      instance.classes.back().tie = c.tie =
          instance.classes.back().tie.empty() ? c.name : instance.classes.back().tie;
      c.options.resize(std::min(c.options.size(), instance.classes.back().options.size()),
                       c.options[0]);
      const size_t common = c.options.size();
      for (KnapsackClass& other : instance.classes)
        if (other.tie == c.tie) other.options.resize(common, other.options[0]);
    }
    for (int b = 0; b < budgets; ++b) most[b] += range;
    instance.classes.push_back(c);
  }
  for (const int64_t sum : most) instance.budgets.push_back(random.Below(sum + 1));
  return instance;
}

// Ties resolved by hand: the classes of a tie become one.
Classes Merged(const Classes& classes) {
  Classes merged;
  std::map<std::string, size_t> ties;
  for (const KnapsackClass& c : classes) {
    if (!c.tie.empty() && ties.contains(c.tie)) {
      KnapsackClass& into = merged[ties[c.tie]];
      for (size_t j = 0; j < c.options.size(); ++j) {
        into.options[j].loss += c.options[j].loss;
        into.options[j].excluded |= c.options[j].excluded;
        for (size_t b = 0; b < c.options[j].costs.size(); ++b)
          into.options[j].costs[b] += c.options[j].costs[b];
      }
      continue;
    }
    if (!c.tie.empty()) ties[c.tie] = merged.size();
    merged.push_back(c);
    merged.back().tie.clear();
  }
  return merged;
}

KnapsackAnswer WithoutTies(const Classes& classes, KnapsackAnswer answer) {
  std::vector<int> choice;
  std::map<std::string, int> seen;
  for (size_t l = 0; l < classes.size(); ++l) {
    const auto [it, is_new] = seen.emplace(classes[l].tie, answer.choice[l]);
    if (!classes[l].tie.empty() && !is_new) {
      EXPECT_EQ(it->second, answer.choice[l]) << "tied classes differ";
      continue;
    }
    choice.push_back(answer.choice[l]);
  }
  answer.choice = choice;
  return answer;
}

class Knapsack : public testing::TestWithParam<int> {};  // the number of budgets

TEST_P(Knapsack, EqualsBruteForce) {
  KnapsackRandom random{7};
  int infeasible = 0;
  for (int k = 0; k < 4000; ++k) {
    SCOPED_TRACE(k);
    const auto [classes, budgets] = Small(random, GetParam());
    const int64_t least = BruteForce(classes, budgets);
    const KnapsackAnswer answer = SolveKnapsack(classes, budgets);
    ASSERT_TRUE(answer.proven);
    ASSERT_EQ(answer.feasible, least != kNone);
    infeasible += !answer.feasible;
    if (!answer.feasible) continue;
    ASSERT_EQ(answer.loss, least);
    ASSERT_TRUE(Certified(Merged(classes), budgets, WithoutTies(classes, answer)));
    if (answer.greedy.feasible) {
      ASSERT_GE(answer.greedy.loss, least);
    }
  }
  EXPECT_GT(infeasible, 20);
  EXPECT_LT(infeasible, 3000);
}

INSTANTIATE_TEST_SUITE_P(Budgets, Knapsack, testing::Values(1, 2, 3));

TEST(KnapsackOneBudget, BigInstancesAreProven) {
  for (const std::string kind : {"network", "shapes", "uncorrelated", "weak", "strong", "subset"})
    for (const double fraction : {0.0, 0.03, 0.3, 0.6, 0.99, 1.0}) {
      SCOPED_TRACE(kind + " " + std::to_string(fraction));
      const auto [classes, budgets] = MakeKnapsack(kind, 2000, 16, 1, fraction, 3);
      const KnapsackAnswer answer = SolveKnapsack(classes, budgets, {.seconds = 100});
      ASSERT_TRUE(answer.proven);
      EXPECT_LE(answer.loss, answer.greedy.loss);
    }
}

TEST(KnapsackOneBudget, ProofsOfNetworksCanBeRepeated) {
  for (const std::string kind : {"network", "shapes", "uncorrelated"})
    for (uint64_t seed = 0; seed < 5; ++seed) {
      SCOPED_TRACE(kind + " " + std::to_string(seed));
      const auto [classes, budgets] =
          MakeKnapsack(kind, 60, 8, 1, 0.1 + 0.15 * static_cast<double>(seed), seed);
      EXPECT_TRUE(Certified(classes, budgets, SolveKnapsack(classes, budgets)));
    }
}

TEST(KnapsackOneBudget, CertificatesAreNotTakenOnTrust) {
  const auto [classes, budgets] = MakeKnapsack("network", 30, 8, 1, 0.4, 1);
  const KnapsackAnswer answer = SolveKnapsack(classes, budgets);
  ASSERT_TRUE(Certified(classes, budgets, answer));
  KnapsackAnswer forged = answer;
  ++forged.certificate.bound;
  EXPECT_FALSE(Certified(classes, budgets, forged));
  forged = answer;
  forged.choice = answer.greedy.choice;  // fits, but is not the best
  forged.loss = forged.lower_bound = answer.greedy.loss;
  forged.costs = {0};
  for (size_t l = 0; l < classes.size(); ++l)
    forged.costs[0] += classes[l].options[forged.choice[l]].costs[0];
  ASSERT_GT(answer.greedy.loss, answer.loss);
  EXPECT_FALSE(Certified(classes, budgets, forged));
}

TEST(KnapsackOneBudget, BudgetsAtBothEnds) {
  const auto [classes, budgets] = MakeKnapsack("network", 100, 8, 1, 0.5, 5);
  const KnapsackFront front = Front(classes);
  const auto& first = front.points.front();
  const auto& last = front.points.back();
  EXPECT_EQ(SolveKnapsack(classes, {first.cost}).loss, first.loss);
  EXPECT_EQ(SolveKnapsack(classes, {last.cost}).loss, last.loss);
  EXPECT_EQ(SolveKnapsack(classes, {std::numeric_limits<int64_t>::max()}).loss, last.loss);
  EXPECT_GT(SolveKnapsack(classes, {last.cost - 1}).loss, last.loss);
  const KnapsackAnswer below = SolveKnapsack(classes, {first.cost - 1});
  EXPECT_FALSE(below.feasible);
  EXPECT_TRUE(below.proven);
  EXPECT_EQ(below.smallest_budgets, std::vector<int64_t>{first.cost});
}

TEST(KnapsackOneBudget, FrontIsOptimalAtItsOwnCosts) {
  const auto [classes, budgets] = MakeKnapsack("network", 40, 6, 1, 0.5, 9);
  const KnapsackFront front = Front(classes);
  ASSERT_GT(front.points.size(), 50u);
  std::vector<int64_t> at;
  for (const auto& point : front.points) at.push_back(point.cost);
  const std::vector<KnapsackAnswer> answers = SolveKnapsackAt(classes, at);
  for (size_t p = 0; p < front.points.size(); ++p) {
    EXPECT_EQ(answers[p].loss, front.points[p].loss);
    const std::vector<int> choice = front.Choice(p);
    int64_t cost = 0, loss = 0;
    for (size_t l = 0; l < classes.size(); ++l) {
      cost += classes[l].options[choice[l]].costs[0];
      loss += classes[l].options[choice[l]].loss;
    }
    EXPECT_EQ(cost, front.points[p].cost);
    EXPECT_EQ(loss, front.points[p].loss);
    EXPECT_LE(front.points[p].multiplier, p > 0 ? front.points[p - 1].multiplier : HUGE_VAL);
  }
}

TEST(KnapsackOneBudget, OneClassOneOptionAllEqual) {
  EXPECT_EQ(SolveKnapsack({{"a", {{"x", 5, {7}}}, ""}}, {7}).loss, 5);
  EXPECT_FALSE(SolveKnapsack({{"a", {{"x", 5, {7}}}, ""}}, {6}).feasible);
  Classes equal(50, {"a", std::vector<KnapsackOption>(6, {"x", 3, {2}}), ""});
  const KnapsackAnswer answer = SolveKnapsack(equal, {100});
  EXPECT_EQ(answer.loss, 150);
  EXPECT_EQ(answer.choice, std::vector<int>(50, 0)) << "of equal options the first";
  EXPECT_FALSE(SolveKnapsack(equal, {99}).feasible);
}

TEST(KnapsackOneBudget, LimitsLeaveABound) {
  const auto [classes, budgets] = MakeKnapsack("strong", 200, 8, 1, 0.5, 2);
  const int64_t best = SolveKnapsack(classes, budgets).loss;
  for (const int64_t states : {0, 10, 1000, 10000}) {
    const KnapsackAnswer answer =
        SolveKnapsack(classes, budgets, {.seconds = 100, .states = states});
    ASSERT_TRUE(answer.feasible);
    EXPECT_LE(answer.lower_bound, best);
    EXPECT_GE(answer.loss, best);
    EXPECT_EQ(answer.proven, answer.Gap() == 0);
    EXPECT_TRUE(Certified(classes, budgets, answer));
  }
  EXPECT_FALSE(SolveKnapsack(classes, budgets, {.seconds = 100, .states = 10}).proven);
}

TEST(KnapsackOneBudget, SameArgumentsSameAnswer) {
  const auto [classes, budgets] = MakeKnapsack("strong", 100, 8, 1, 0.5, 2);
  const KnapsackAnswer a = SolveKnapsack(classes, budgets), b = SolveKnapsack(classes, budgets);
  EXPECT_EQ(a.choice, b.choice);
  EXPECT_EQ(a.states, b.states);
}

TEST(KnapsackSeveralBudgets, NetworksAreProvenAndTheProofsCanBeRepeated) {
  for (const int budgets : {2, 3})
    for (const std::string kind : {"network", "shapes"})
      for (uint64_t seed = 0; seed < 5; ++seed) {
        SCOPED_TRACE(kind + " " + std::to_string(seed));
        const double fraction = 0.1 + 0.15 * static_cast<double>(seed);
        const auto instance =
            MakeKnapsack(kind, budgets == 2 ? 20 : 12, 6, budgets, fraction, seed);
        const KnapsackAnswer answer =
            SolveKnapsack(instance.classes, instance.budgets, {.seconds = 100});
        ASSERT_TRUE(answer.proven);
        EXPECT_TRUE(Certified(instance.classes, instance.budgets, answer));
      }
}

TEST(KnapsackSeveralBudgets, OneThatDoesNotBindChangesNothing) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    auto [classes, budgets] = MakeKnapsack("network", 60, 8, 2, 0.4, seed);
    budgets[1] = std::numeric_limits<int64_t>::max();
    const int64_t both = SolveKnapsack(classes, budgets).loss;
    for (KnapsackClass& c : classes)
      for (KnapsackOption& option : c.options) option.costs.resize(1);
    EXPECT_EQ(both, SolveKnapsack(classes, {budgets[0]}).loss);
  }
}

TEST(KnapsackSeveralBudgets, EachFitsAloneButNotTogether) {
  const KnapsackClass c{"a", {{"small", 1, {1, 9}}, {"fast", 1, {9, 1}}}, ""};
  const KnapsackAnswer answer = SolveKnapsack(Classes(10, c), {40, 40});
  EXPECT_FALSE(answer.feasible);
  EXPECT_TRUE(answer.proven);
  EXPECT_EQ(answer.smallest_budgets, (Budgets{10, 10}));
  EXPECT_TRUE(SolveKnapsack(Classes(10, c), {50, 50}).feasible);
  EXPECT_FALSE(SolveKnapsack(Classes(10, c), {50, 49}).feasible);
}

TEST(KnapsackSeveralBudgets, LimitsLeaveABound) {
  const auto [classes, budgets] = MakeKnapsack("uncorrelated", 40, 8, 3, 0.5, 2);
  const int64_t best = SolveKnapsack(classes, budgets, {.seconds = 100}).loss;
  for (const int64_t states : {0, 100, 1000}) {
    const KnapsackAnswer answer =
        SolveKnapsack(classes, budgets, {.seconds = 100, .states = states});
    ASSERT_TRUE(answer.feasible);
    EXPECT_FALSE(answer.proven);
    EXPECT_LE(answer.lower_bound, best);
    EXPECT_GE(answer.loss, best);
    EXPECT_TRUE(Certified(classes, budgets, answer));
  }
}

// The message of the UsageError that `solve` throws.
template <class Solve>
std::string Refusal(const Solve& solve) {
  try {
    solve();
  } catch (const UsageError& e) {
    return e.what();
  }
  return "accepted";
}

TEST(KnapsackRefusals, NameClassAndOption) {
  const auto refusal = [](const Classes& classes, const Budgets& budgets = {10}) {
    return Refusal([&] { SolveKnapsack(classes, budgets); });
  };
  const int64_t huge = int64_t{1} << 60;
  EXPECT_NE(refusal({}).find("no classes"), std::string::npos);
  EXPECT_NE(refusal({{"fc", {}, ""}}).find("'fc' has no options"), std::string::npos);
  EXPECT_NE(refusal({{"fc", {{"int4", -1, {1}}}, ""}})
                .find("'int4' of class 'fc' has the negative loss -1"),
            std::string::npos);
  EXPECT_NE(refusal({{"fc", {{"int4", 1, {-2}}}, ""}})
                .find("'int4' of class 'fc' has the negative cost -2"),
            std::string::npos);
  EXPECT_NE(refusal({{"fc", {{"int4", 1, {2, 3}}}, ""}}).find("'int4' of class 'fc' has 2 costs"),
            std::string::npos);
  EXPECT_NE(refusal({{"fc", {{"int4", 1, {1}}}, ""}}, {-1}).find("budget 0 is negative"),
            std::string::npos);
  EXPECT_NE(refusal({{"fc", {{"int4", 1, {1}, true}}, ""}})
                .find("every option of class 'fc' is excluded"),
            std::string::npos);
  EXPECT_NE(refusal({{"a", {{"x", huge, {1}}}, ""},
                     {"b", {{"y", huge, {1}}}, ""},
                     {"c", {{"z", 1, {1}}}, ""}})
                .find("option 'z' of class 'c' the losses can sum to more than 2^61"),
            std::string::npos);
  EXPECT_NE(refusal({{"a", {{"x", 1, {huge}}}, ""}, {"b", {{"y", 1, {huge + 1}}}, ""}})
                .find("option 'y' of class 'b' the costs can sum to more than 2^61"),
            std::string::npos);
  EXPECT_NE(refusal({{"a", {{"x", 1, {1}}}, "t"}, {"b", {{"y", 1, {1}}}, "t"}})
                .find("'a' and 'b' are tied by 't'"),
            std::string::npos);
  const int64_t half = int64_t{1} << 59;
  EXPECT_EQ(SolveKnapsack({{"a", {{"x", half, {half}}, {"y", 0, {2 * half}}}, ""},
                           {"b", {{"x", half, {half}}, {"y", 0, {2 * half}}}, ""}},
                          {3 * half})
                .loss,
            half);
}

TEST(KnapsackRefusals, SensitivitiesThatAreNoNumbers) {
  Classes classes{{"conv1", {{"int8", 0, {1}}, {"int4", 0, {1}}}, ""}};
  const double inf = std::numeric_limits<double>::infinity();
  for (const double bad : {std::nan(""), inf, -inf, -1e-30}) {
    const std::string refusal = Refusal([&] {
      SetLosses(std::vector<std::vector<double>>{{0.5, bad}}, classes);
    });
    EXPECT_NE(refusal.find("layer 'conv1' to 'int4'"), std::string::npos) << refusal;
  }
  EXPECT_NE(Refusal([&] {
              SetLosses(std::vector<std::vector<double>>{{0.5}}, classes);
            }).find("1 sensitivities"),
            std::string::npos);
}

TEST(KnapsackLosses, AreWithinHalfAUnit) {
  const auto two = [] {
    return Classes(2, {"a", std::vector<KnapsackOption>(3, {"x", 0, {0}}), ""});
  };
  for (const double scale : {1.0, 3e-310, 1.7e308, 0.1}) {
    const std::vector<std::vector<double>> sensitivities{{scale, scale / 3, 0},
                                                         {scale / 7, scale / 1e9, scale / 1e20}};
    Classes classes = two();
    const double unit = SetLosses(sensitivities, classes);
    int64_t sum = 0;
    for (size_t l = 0; l < 2; ++l) {
      sum += classes[l].options[0].loss;
      for (size_t j = 0; j < 3; ++j)
        EXPECT_LE(
            std::abs(static_cast<double>(classes[l].options[j].loss) - sensitivities[l][j] / unit),
            0.5);
    }
    EXPECT_GT(sum, scale < 1e-300 ? 0 : int64_t{1} << 51);
    EXPECT_LE(sum, int64_t{1} << 52);
  }
  Classes classes = two();
  EXPECT_EQ(SetLosses(std::vector<std::vector<double>>{{0, 0, 0}, {0, 0, 0}}, classes), 1);
}

}  // namespace
}  // namespace mezzo
