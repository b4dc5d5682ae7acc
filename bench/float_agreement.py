"""How far the float networks' outputs in mezzo are from ONNX Runtime's.

    python bench/float_agreement.py DATA OUT [--networks ocr,kws] [--limit SECONDS] [--mezzo build/mezzo]

DATA is what bench/prepare_int8_data.py made. Every network runs on DATA/NETWORK/evaluation in both programs, each with
samples it read itself. For every output: the largest difference over all samples, as a share of the largest value in
ONNX Runtime. The table has each network's worst output. Exit status 1 if one is above its network's limit, or the
programs disagree in shape.
OUT gets mezzo's outputs.
"""

import argparse
import pathlib
import sys

import int8_networks
import networks
import numpy as np
import onnxruntime as ort

LIMIT = 1e-4
# Of ocr's 150 lines one is at the edge between two characters: half an ulp at the input moves ONNX Runtime's own output
# by 1e-4, and OpenVINO's differs from it by 5e-5.
LIMITS = {"ocr": 1e-3}


def reference_outputs(network, folder):
    """ONNX Runtime's outputs by name, sample by sample."""
    session = ort.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    for sample in networks.read_samples(folder / "evaluation", network):
        yield dict(zip(names, session.run(names, sample.inputs)))


def compare(ours, reference):
    """By output: the largest difference of every sample, as shares of the largest value over all samples."""
    differences, largest = {}, {}
    for mine, theirs in zip(ours, reference, strict=True):
        for name, b in theirs.items():
            a, b = np.asarray(mine[name], np.float64), np.asarray(b, np.float64)
            if a.shape != b.shape or not np.isfinite(a).all() or not np.isfinite(b).all():
                raise SystemExit(f"output {name}: shapes are {a.shape} and {b.shape}, or there are numbers not finite")
            differences.setdefault(name, []).append(np.abs(a - b).max(initial=0))
            largest[name] = max(largest.get(name, 0), np.abs(b).max(initial=0))
    return {name: np.array(d) / (largest[name] or 1) for name, d in differences.items()}


def measure(network, data, options):
    """The worst output's name and the relative error of each of its samples."""
    folder, out = data / network.name, options.out / network.name
    file = options.out / f"{network.name}.onnx"
    file.unlink(missing_ok=True)
    file.symlink_to((folder / "model.onnx").resolve())
    _, failure = int8_networks.mezzo_outputs(options.mezzo, network, folder, file, out, options.limit)
    if failure:
        raise SystemExit(f"{network.name}: {failure}")
    ours = (np.load(path) for path in sorted(out.glob("*.npz")))
    errors = compare(ours, reference_outputs(network, folder))
    worst = max(errors, key=lambda name: errors[name].max())
    return worst, errors[worst]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--networks", default=",".join(n.name for n in networks.NETWORKS))
    parser.add_argument("--limit", type=float, default=1800, help="seconds a run may take (1800)")
    parser.add_argument("--mezzo", type=pathlib.Path, default=int8_networks.HERE.parent / "build/mezzo")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    print("| network | samples | worst output | max relative error | median sample |\n|---|---|---|---|---|")
    failed = False
    for network in [networks.network_named(name) for name in options.networks.split(",")]:
        output, errors = measure(network, options.data, options)
        row = [network.name, len(errors), output, f"{errors.max():.1e}", f"{np.median(errors):.1e}"]
        print("| " + " | ".join(map(str, row)) + " |", flush=True)
        failed |= errors.max() > LIMITS.get(network.name, LIMIT)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
