"""Latency of float networks and of mezzo's INT8 files, in mezzo and in ONNX Runtime, turn by turn.

    python bench/latency.py DATA OUT [--mezzo build/mezzo] [--networks ocr,kws] [--rounds 3]

DATA is what bench/prepare_int8_data.py made, OUT what bench/int8_networks.py wrote the files to. Batch 1; medians over the
rounds of each program's own median of 30 runs; ONNX Runtime runs int8 with its default options.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import time

import numpy as np
import onnxruntime as ort

HERE = pathlib.Path(__file__).parent
SHAPES = {
    "espcn": {"input": (1, 1, 64, 64)},
    "ocr": {"x": (1, 3, 48, 320)},
    "minilm": {"input_ids": (1, 64), "attention_mask": (1, 64)},
}
RUNS = 30


def mezzo_ms(program, file, network, threads):
    command = [program, "bench", file, "--threads", str(threads), "--json"]
    for name, shape in SHAPES.get(network, {}).items():
        command += ["--shape", f"{name}={','.join(map(str, shape))}"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["median_ms"]


def onnxruntime_ms(file, network, threads):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    inputs = {}
    for value in session.get_inputs():
        shape = SHAPES.get(network, {}).get(value.name) or [d if isinstance(d, int) else 1 for d in value.shape]
        inputs[value.name] = np.ones(shape, np.int64 if "int64" in value.type else np.float32)
    times = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        session.run(None, inputs)
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--mezzo", type=pathlib.Path, default=HERE.parent / "build/mezzo")
    parser.add_argument("--networks", default="lite0,squeezenet,resnet20,kws,espcn,ocr,minilm")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print("| network | threads | mezzo float | mezzo int8 | float / int8 | ONNX Runtime float | int8 |")
    print("|---|---|---|---|---|---|---|")
    for network in options.networks.split(","):
        files = [options.data / network / "model.onnx", options.out / f"{network}-mezzo.onnx"]
        for threads in (1, 2):
            rounds = [
                [mezzo_ms(options.mezzo, f, network, threads) for f in files]
                + [onnxruntime_ms(f, network, threads) for f in files]
                for _ in range(options.rounds)
            ]
            ours, ours8, theirs, theirs8 = map(statistics.median, zip(*rounds))
            print(
                f"| {network} | {threads} | {ours:.2f} | {ours8:.2f} | {ours / ours8:.2f} | {theirs:.2f} | {theirs8:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
