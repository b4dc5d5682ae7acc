"""What paths of rank 8 give back of what four bits lose, by how they are fitted.

    python bench/recovery.py DATA OUT [NETWORK ...] [--rank 8] [--train 384 --rate 0.01] [--mezzo build/mezzo]
    python bench/recovery.py --language-model FOLDER --calibrate TEXT --text TEXT OUT [--train 24]

DATA is what bench/prepare_int8_data.py made. Weights NF4 in groups of 64, activations INT8 (networks) or float (language
models). Rows: codes to the nearest or error-corrected (GPTQ); no path, or one by a plain SVD (LoRC, arXiv 2303.08302), by
the inputs' powers (L2QER, arXiv 2402.02446), by their whole second moments (EoRA's closed form, arXiv 2410.21271), then
codes made again for what the path leaves (ours), then trained; of the language model also what `plan` makes of the bytes that
rank 8 takes: ranks by layer, and int8 rows where they are worth more. The loss is the KL divergence to the float model, for
embeddings the error's share of the outputs' power.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import time

from networks import NETWORKS

HERE = pathlib.Path(__file__).parent
PLAIN, UNIT, DIAGONAL, HESSIAN = None, "unit", "diagonal", "hessian"
# name, codes to the nearest, fit, alternations
ROWS = [
    ("nearest", True, PLAIN, 0),
    ("nearest + LoRC", True, UNIT, 0),
    ("nearest + L2QER", True, DIAGONAL, 0),
    ("nearest + EoRA", True, HESSIAN, 0),
    ("corrected", False, PLAIN, 0),
    ("corrected + LoRC", False, UNIT, 0),
    ("corrected + L2QER", False, DIAGONAL, 0),
    ("corrected + EoRA", False, HESSIAN, 0),
    ("ours", False, HESSIAN, 1),
]


def run(command):
    start = time.monotonic()
    made = subprocess.run([str(c) for c in command], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return made.stdout, time.monotonic() - start


def rows(o):
    """ROWS and the samples that train."""
    return [(*row, 0) for row in ROWS] + ([("ours, trained", False, HESSIAN, 1, o.train)] if o.train else [])


def training_options(o, samples):
    return ["--recovery-windows", samples, "--recovery-rate", o.rate, "--recovery-epochs", o.epochs] if samples else []


def path_options(o, fit, alternations, samples):
    if not fit:
        return []
    return ["--recovery-rank", o.rank, "--recovery-fit", fit, "--alternations", alternations, *training_options(o, samples)]


def show(name, bytes_, metric, loss, none, seconds):
    back = "-" if none is None else f"{1 - loss / none:.0%}"
    print(f"| {name} | {bytes_} | {metric} | {loss:.4g} | {back} | {seconds:.0f} |", flush=True)


def head(what, metric, loss):
    print(f"\n### {what}\n\n| | bytes | {metric} | {loss} | given back | seconds |\n|---|---|---|---|---|---|")


def network(o, known):
    folder = o.data / known.name
    data = ["--task", known.task, "--output-index", known.output]
    if known.preprocess:
        data += ["--preprocess", known.preprocess]
    loss = "kl" if known.task == "classify" else "sqnr"
    head(known.name, known.task, "KL divergence" if loss == "kl" else "relative error")
    none = {}
    for name, nearest, fit, alternations, samples in rows(o):
        if nearest and fit not in (PLAIN, UNIT):
            continue  # what layers read is gathered for correcting
        out = o.out / f"{known.name}.onnx"
        options = ["--scheme", "nf4", "--tolerance", "1000%", "--no-refine", *path_options(o, fit, alternations, samples)]
        options += ["--no-error-correction"] if nearest else []
        _, seconds = run([o.mezzo, "quantize", folder / "model.onnx", "--data", folder / "development", "-o", out, *data, *options])
        figures = []
        for task in (known.task, loss):
            asked = [*data[:1], task, *data[2:]]
            made, _ = run([o.mezzo, "evaluate", out, "--reference", folder / "model.onnx", "--data", folder / "evaluation", *asked, "--json"])
            figures.append(json.loads(made)["value"])
        lost = figures[1] if loss == "kl" else 10 ** (-figures[1] / 10)
        show(name, out.stat().st_size, f"{figures[0]:.4g}", lost, none.get(nearest), seconds)
        none.setdefault(nearest, lost)


def language_model(o):
    head(o.language_model.name, "perplexity", "KL divergence")
    none = {}
    out = o.out / o.language_model.name

    def row(name, nearest, options, before=0):
        shutil.rmtree(out, ignore_errors=True)
        options = ["--scheme", "nf4", *options, *(["--rtn"] if nearest else [])]
        _, seconds = run([o.mezzo, "quantize", o.language_model, "--data", o.calibrate, "-o", out, *options])
        made, _ = run([o.mezzo, "evaluate", out, "--reference", o.language_model, "--data", o.text, "--windows", "12", "--json"])
        figures = json.loads(made)
        kl = figures["divergence"]["kl"]["value"]
        size = sum(f.stat().st_size for f in out.glob("*.safetensors"))
        show(name, size, f"{figures['perplexity']['value']:.4g}", kl, none.get(nearest), before + seconds)
        none.setdefault(nearest, kl)
        return size

    for name, nearest, fit, alternations, windows in rows(o):
        size = row(name, nearest, path_options(o, fit, alternations, windows))
    plan = o.out / "plan.json"
    budget = ["--recovery-ranks", "2,4,8,16", "--sensitivity-windows", "16", "--budget", f"size={size // 1000}kB"]
    _, seconds = run([o.mezzo, "plan", o.language_model, "--data", o.calibrate, "-o", plan, "--scheme", "nf4", *budget])
    row("ours, placed by plan", False, ["--plan", plan], seconds)
    if o.train:
        row("ours, placed by plan, trained", False, ["--plan", plan, *training_options(o, o.train)], seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", help="DATA OUT NETWORK ..., or OUT alone with --language-model")
    parser.add_argument("--language-model", type=pathlib.Path)
    parser.add_argument("--calibrate", type=pathlib.Path, help="text whose first 20 windows calibrate and the next train")
    parser.add_argument("--text", type=pathlib.Path, help="text whose first 12 windows measure")
    parser.add_argument("--train", type=int, default=0, help="windows or samples that paths are trained on, in a row of its own")
    parser.add_argument("--rate", type=float, default=0.01, help="of the training")
    parser.add_argument("--epochs", type=int, default=4, help="of the training, at most")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--mezzo", type=pathlib.Path, default=HERE.parent / "build/mezzo")
    o = parser.parse_args()
    o.out = pathlib.Path(o.folders[0 if o.language_model else 1])
    o.out.mkdir(parents=True, exist_ok=True)
    if o.language_model:
        return language_model(o)
    o.data = pathlib.Path(o.folders[0])
    for name in o.folders[2:] or ["resnet20", "lite0", "minilm"]:
        network(o, next(n for n in NETWORKS if n.name == name))


if __name__ == "__main__":
    main()
