// Solves multiple-choice knapsacks from outside, for comparisons with other solvers and for timing.
//
//   mezzo_solver_bench KIND CLASSES OPTIONS BUDGETS COUNT [SECONDS]   COUNT random instances: times
//   and states mezzo_solver_bench --print KIND CLASSES OPTIONS BUDGETS FRACTION SEED   one of them
//   as text mezzo_solver_bench < INSTANCE                     the answer and its certificate as
//   lines "name: values"
//
// The text of an instance is whole numbers: classes, budgets, each budget; then for each class its
// number of options and for each option its loss and its costs.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>

#include "mezzo/base/error.h"
#include "mezzo/solver/testing.h"

namespace mezzo {
namespace {

KnapsackInstance Read(std::istream& in) {
  const auto number = [&in] {
    int64_t value = 0;
    Require(static_cast<bool>(in >> value),
            "knapsack: the instance ends early or has a word that is no number");
    return value;
  };
  KnapsackInstance instance;
  const int64_t classes = number(), budgets = number();
  for (int64_t b = 0; b < budgets; ++b) instance.budgets.push_back(number());
  for (int64_t l = 0; l < classes; ++l) {
    KnapsackClass c{std::to_string(l), {}, ""};
    for (int64_t j = 0, options = number(); j < options; ++j) {
      KnapsackOption option{std::to_string(j), number(), {}, false};
      for (int64_t b = 0; b < budgets; ++b) option.costs.push_back(number());
      c.options.push_back(std::move(option));
    }
    instance.classes.push_back(std::move(c));
  }
  return instance;
}

void Print(const KnapsackInstance& instance) {
  std::cout << instance.classes.size() << ' ' << instance.budgets.size() << '\n';
  for (const int64_t budget : instance.budgets) std::cout << budget << '\n';
  for (const KnapsackClass& c : instance.classes) {
    std::cout << c.options.size() << '\n';
    for (const KnapsackOption& option : c.options) {
      std::cout << option.loss;
      for (const int64_t cost : option.costs) std::cout << ' ' << cost;
      std::cout << '\n';
    }
  }
}

template <class T>
void PrintLine(const char* name, const std::vector<T>& values) {
  std::cout << name << ':';
  for (const T& value : values) std::cout << ' ' << value;
  std::cout << '\n';
}

double Microseconds(const KnapsackInstance& instance, const KnapsackLimits& limits,
                    KnapsackAnswer& answer) {
  const auto start = std::chrono::steady_clock::now();
  answer = SolveKnapsack(instance.classes, instance.budgets, limits);
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start)
      .count();
}

void SolveOne(const KnapsackInstance& instance) {
  KnapsackAnswer answer;
  const double microseconds = Microseconds(instance, {}, answer);
  PrintLine<int64_t>("feasible, proven", {answer.feasible, answer.proven});
  PrintLine("choice", answer.choice);
  PrintLine<int64_t>("loss, lower bound", {answer.loss, answer.lower_bound});
  PrintLine("costs", answer.costs);
  PrintLine<int64_t>("greedy", {answer.greedy.loss});
  PrintLine("multipliers", answer.certificate.multipliers);
  PrintLine<int64_t>("denominator, bound",
                     {answer.certificate.denominator, answer.certificate.bound});
  PrintLine<int64_t>("states", {answer.states});
  PrintLine<double>("microseconds", {microseconds});
}

void Time(const std::string& kind, int classes, int options, int budgets, int count,
          double seconds) {
  std::vector<double> times;
  std::vector<int64_t> states;
  int unproven = 0;
  double gap = 0;
  for (int k = 0; k < count; ++k) {
    const double fraction = 0.01 + 0.98 * k / std::max(1, count - 1);
    const KnapsackInstance instance =
        MakeKnapsack(kind, classes, options, budgets, fraction, k + 1);
    KnapsackLimits limits;
    limits.seconds = seconds;
    KnapsackAnswer answer;
    times.push_back(Microseconds(instance, limits, answer) / 1000);
    states.push_back(answer.states);
    if (answer.proven) continue;
    ++unproven;
    gap = std::max(gap, static_cast<double>(answer.Gap()) / static_cast<double>(answer.loss));
  }
  std::sort(times.begin(), times.end());
  std::sort(states.begin(), states.end());
  std::printf(
      "%-12s %5d x %2d, %d budgets: median %8.3f ms, worst %8.3f ms; states %8ld, worst %8ld; "
      "unproven %d",
      kind.c_str(), classes, options, budgets, times[count / 2], times.back(),
      long(states[count / 2]), long(states.back()), unproven);
  if (unproven > 0) std::printf(" (gap up to %.1e)", gap);
  std::printf("\n");
}

int Main(int argc, char** argv) {
  const auto number = [&](int k) { return std::stoi(argv[k]); };
  if (argc == 1) {
    SolveOne(Read(std::cin));
  } else if (argc == 8 && std::string(argv[1]) == "--print") {
    Print(MakeKnapsack(argv[2], number(3), number(4), number(5), std::stod(argv[6]), number(7)));
  } else {
    Require(argc == 6 || argc == 7,
            "usage: mezzo_solver_bench KIND CLASSES OPTIONS BUDGETS COUNT [SECONDS]");
    Time(argv[1], number(2), number(3), number(4), number(5), argc == 7 ? std::stod(argv[6]) : 10);
  }
  return 0;
}

}  // namespace
}  // namespace mezzo

int main(int argc, char** argv) {
  try {
    return mezzo::Main(argc, argv);
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    return 1;
  }
}
