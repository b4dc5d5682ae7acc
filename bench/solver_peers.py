"""Mezzo's knapsack solver beside HiGHS and CBC: the same instances, answers compared exactly, and times.

    python bench/solver_peers.py build/mezzo_solver_bench [--count 10] [--limit 60] [--only network] [--sizes 200x8x1 ...]

Needs highspy, pulp (which brings CBC) and numpy. A peer is asked for gap 0, both relative and absolute, with its
defaults otherwise, one thread. Its choice is read from its binaries and summed in integers, so that what is compared
is what it chose, not the objective that it prints: it may miss the optimum and still say "optimal", or use more than
the budget within its tolerance. Losses go up to 2^52, as Mezzo makes them of doubles; peers get them divided by 2^20,
so that the objective's digits lie where their tolerances are meant for.
"""

import argparse
import statistics
import subprocess
import tempfile
import time

import highspy
import numpy as np
import pulp

SIZES = ["200x8x1", "200x8x2", "200x8x3", "2000x16x1"]
UNIT = 2.0**20


def read_instance(text):
    numbers = iter(map(int, text.split()))
    classes, budget_count = next(numbers), next(numbers)
    budgets = [next(numbers) for _ in range(budget_count)]
    options = []
    for _ in range(classes):
        options.append([(next(numbers), [next(numbers) for _ in budgets]) for _ in range(next(numbers))])
    return options, budgets


def solve_mezzo(program, text):
    out = subprocess.run([program], input=text, capture_output=True, text=True, check=True).stdout
    lines = dict(line.split(":", 1) for line in out.splitlines())
    choice = [int(j) for j in lines["choice"].split()]
    proven = lines["feasible, proven"].split() == ["1", "1"]
    return choice, proven, float(lines["microseconds"]) / 1e6


def solve_highs(options, budgets, limit):
    highs = highspy.Highs()
    for name, value in [("output_flag", False), ("time_limit", limit), ("threads", 1), ("mip_rel_gap", 0.0),
                        ("mip_abs_gap", 0.0)]:
        highs.setOptionValue(name, value)
    sizes = [len(c) for c in options]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    columns, rows = int(starts[-1]), len(options) + len(budgets)
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = columns, rows
    lp.col_cost_ = np.array([loss / UNIT for c in options for loss, _ in c])
    lp.col_lower_, lp.col_upper_ = np.zeros(columns), np.ones(columns)
    lp.integrality_ = [highspy.HighsVarType.kInteger] * columns
    lp.row_lower_ = np.concatenate([np.ones(len(options)), np.full(len(budgets), -highspy.kHighsInf)])
    lp.row_upper_ = np.concatenate([np.ones(len(options)), np.array(budgets, float)])
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = np.arange(columns + 1) * (1 + len(budgets))
    index, value = [], []
    for row, c in enumerate(options):
        for _, costs in c:
            index += [row, *range(len(options), rows)]
            value += [1.0, *map(float, costs)]
    lp.a_matrix_.index_, lp.a_matrix_.value_ = np.array(index), np.array(value)
    highs.passModel(lp)
    start = time.monotonic()
    highs.run()
    seconds = time.monotonic() - start
    optimal = highs.getModelStatus() == highspy.HighsModelStatus.kOptimal
    values = highs.getSolution().col_value
    if len(values) != columns or highs.getInfo().primal_solution_status != 2:
        return None, False, seconds
    return [int(np.argmax(values[a:b])) for a, b in zip(starts, starts[1:])], optimal, seconds


def solve_cbc(options, budgets, limit):
    problem = pulp.LpProblem("knapsack", pulp.LpMinimize)
    take = [[pulp.LpVariable(f"x{row}_{j}", cat="Binary") for j in range(len(c))] for row, c in enumerate(options)]
    pairs = [(x, option) for xs, c in zip(take, options) for x, option in zip(xs, c)]
    problem += pulp.LpAffineExpression([(x, loss / UNIT) for x, (loss, _) in pairs])
    for xs in take:
        problem += pulp.LpAffineExpression([(x, 1) for x in xs]) == 1
    for b, budget in enumerate(budgets):
        problem += pulp.LpAffineExpression([(x, costs[b]) for x, (_, costs) in pairs]) <= budget
    with tempfile.TemporaryDirectory() as folder:
        solver = pulp.PULP_CBC_CMD(msg=False, timeLimit=limit, gapRel=0, gapAbs=0, threads=1)
        solver.tmpDir = folder
        start = time.monotonic()
        problem.solve(solver)
        seconds = time.monotonic() - start
    if any(x.value() is None for xs in take for x in xs):
        return None, False, seconds
    optimal = problem.sol_status == pulp.LpSolutionOptimal and seconds < limit
    return [max(range(len(xs)), key=lambda j, xs=xs: xs[j].value()) for xs in take], optimal, seconds


def judge(options, budgets, choice, best, optimal):
    """What a peer's answer is worth: a word for the table."""
    if choice is None:
        return "no answer"
    loss = sum(c[j][0] for c, j in zip(options, choice))
    costs = [sum(c[j][1][b] for c, j in zip(options, choice)) for b in range(len(budgets))]
    over = max(cost - budget for cost, budget in zip(costs, budgets))
    if over > 0:
        return f"{'optimal' if optimal else 'limit'}, but {over} over the budget"
    if loss == best:
        return "equal" if optimal else "equal, unproven"
    word = "optimal" if optimal else "limit"
    return f"{word}, but {(loss - best) / best:+.1e}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--limit", type=float, default=60, help="seconds for a peer")
    parser.add_argument("--only", nargs="*", default=["network", "shapes", "uncorrelated", "weak"])
    parser.add_argument("--sizes", nargs="*", default=SIZES, help="classes x options x budgets")
    parser.add_argument("--peers", nargs="*", default=["highs", "cbc"])
    arguments = parser.parse_args()
    peers = {"highs": solve_highs, "cbc": solve_cbc}
    for size in arguments.sizes:
        for kind in arguments.only:
            times, words, proofs = {"mezzo": []}, {}, 0
            for k in range(arguments.count):
                fraction = 0.05 + 0.9 * k / max(1, arguments.count - 1)
                text = subprocess.run([arguments.program, "--print", kind, *size.split("x"), str(fraction), str(k + 1)],
                                      capture_output=True, text=True, check=True).stdout
                options, budgets = read_instance(text)
                choice, proven, seconds = solve_mezzo(arguments.program, text)
                best = sum(c[j][0] for c, j in zip(options, choice))
                proofs += proven
                times["mezzo"].append(seconds)
                for name in arguments.peers:
                    answer, optimal, seconds = peers[name](options, budgets, arguments.limit)
                    times.setdefault(name, []).append(seconds)
                    words.setdefault(name, []).append(judge(options, budgets, answer, best, optimal))
            print(f"{kind} {size}: mezzo proves {proofs} of {arguments.count}", flush=True)
            for name, seconds in times.items():
                print(f"  {name:6} median {statistics.median(seconds):9.4f} s, worst {max(seconds):9.4f} s", flush=True)
            for name, list_of_words in words.items():
                print(f"  {name:6} " + "; ".join(f"{list_of_words.count(w)} x {w}" for w in dict.fromkeys(list_of_words)),
                      flush=True)


if __name__ == "__main__":
    main()
