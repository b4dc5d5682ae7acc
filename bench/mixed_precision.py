"""Accuracy against bytes: mezzo plan beside uniform precisions, the greedy alone and other rankings.

    python bench/mixed_precision.py DATA [NETWORK ...] [--points 8] [--refine 0] [--validate 60] [--mezzo build/mezzo]

DATA is what bench/prepare_int8_data.py made: a folder for each network with model.onnx, development/ and evaluation/. For
each network `mezzo plan --front` measures every series on samples that nothing was chosen by; a table goes to standard
output, the page and its figures to --out. A language model is `plan`ned with the same options by hand: docs/benchmarks.md.
"""

import argparse
import json
import pathlib
import subprocess
import time

from networks import NETWORKS

HERE = pathlib.Path(__file__).parent
DEFAULT = ["lite0", "squeezenet", "resnet20", "minilm"]


def table(report):
    """A row for each series and size, by size."""
    loss = report["loss_name"]
    print(f"| choice | bytes | bits a weight | {report['metric']['name']} | {loss} | {loss} predicted |")
    print("|---|---|---|---|---|---|")
    rows = [(s["name"], p) for s in report["series"] for p in s["points"]]
    for name, p in sorted(rows, key=lambda row: (row[1]["bytes"], row[0])):
        figures = [p["metric"], p["output_loss"], p["predicted_loss"]]
        cells = ["-" if f is None else f"{f:.4g}" for f in figures]
        print(f"| {name} | {p['bytes']:.0f} | {p['average_bits']:.2f} | {' | '.join(cells)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("networks", nargs="*", default=DEFAULT)
    parser.add_argument("--points", default="8")
    parser.add_argument("--refine", default="0")
    parser.add_argument("--validate", default="60")
    parser.add_argument("--budget", default="size=14%")
    parser.add_argument("--no-tuning", action="store_true", help="no fits after each choice, which take half the time")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("mixed-precision"))
    parser.add_argument("--mezzo", type=pathlib.Path, default=HERE.parent / "build/mezzo")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    known = {network.name: network for network in NETWORKS}
    for name in options.networks:
        folder = options.data / name
        plan = options.out / f"{name}.plan.json"
        command = [options.mezzo, "plan", folder / "model.onnx", "--data", folder / "development", "-o", plan]
        command += ["--budget", options.budget, "--front", options.points, "--refine", options.refine]
        command += ["--validate", options.validate, "--report", options.out / f"{name}.html", "--json"]
        command += ["--task", known[name].task, "--output-index", str(known[name].output)]
        command += ["--no-tuning"] if options.no_tuning else []
        if known[name].preprocess:
            command += ["--preprocess", known[name].preprocess]
        start = time.monotonic()
        made = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, check=True)
        report = json.loads(made.stdout)
        print(f"\n### {name}, float {report['metric']['name']} {report['metric']['float']:.4g}, {time.monotonic() - start:.0f} s\n")
        table(report)
        print("\n| ranking | rank correlation, 4 bits and below |")
        print("|---|---|")
        for ranking in report["rankings"]:
            print(f"| {ranking['name']} | {ranking['correlation']:.3f} |", flush=True)


if __name__ == "__main__":
    main()
