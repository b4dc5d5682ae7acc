"""Latency of INT8 files in mezzo, ONNX Runtime and OpenVINO, turn by turn, on the same files.

    python bench/engine.py FOLDER [--floats DATA] [--mezzo build/mezzo] [--networks resnet50,lite0] [--batches 1,8]
                           [--threads 1,2] [--rounds 5] [--avx2]

FOLDER holds NETWORK.onnx, INT8 files that mezzo wrote (resnet50: of bench/resnet50.py's model); DATA the float networks as
NETWORK/model.onnx (what bench/prepare_int8_data.py made). Each figure is the median over the rounds of one process's own
median of its runs; in a round all programs take their turn. Peers run with their default options, in which products of 8-bit
codes saturate on processors without VNNI; OpenVINO with its latency hint. --avx2 limits mezzo and OpenVINO to AVX2; ONNX
Runtime cannot be limited and is left out.
"""

import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
SHAPES = {  # of one sample, by input
    "resnet50": {"input": (3, 224, 224)},
    "lite0": {"input": (3, 224, 224)},
    "squeezenet": {"input": (3, 224, 224)},
    "minilm": {"input_ids": (128,), "attention_mask": (128,)},
    "ocr": {"x": (3, 48, 320)},
}
SECONDS = 0.6  # that a process measures for


def median_ms(run):
    run()
    times, start = [], time.perf_counter()
    while time.perf_counter() - start < SECONDS or len(times) < 5:
        before = time.perf_counter()
        run()
        times.append(time.perf_counter() - before)
    return 1e3 * statistics.median(times)


def random_inputs(inputs):
    import numpy as np

    draw = np.random.default_rng(0)
    return {
        name: np.ones(shape, np.int64) if integer else draw.standard_normal(shape, np.float32)
        for name, shape, integer in inputs
    }


def onnxruntime_ms(file, shapes, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    inputs = random_inputs([(v.name, shapes[v.name], "int64" in v.type) for v in session.get_inputs()])
    return median_ms(lambda: session.run(None, inputs))


def openvino_ms(file, shapes, threads):
    import openvino

    core = openvino.Core()
    model = core.read_model(file)
    model.reshape(shapes)
    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    inputs = random_inputs(
        [(p.get_any_name(), shapes[p.get_any_name()], "i64" in p.get_element_type().to_string()) for p in model.inputs]
    )
    return median_ms(lambda: request.infer(inputs))


def mezzo_ms(program, file, shapes, threads):
    command = [program, "bench", file, "--threads", str(threads), "--json", "--seconds", str(SECONDS)]
    for name, shape in shapes.items():
        command += ["--shape", f"{name}={','.join(map(str, shape))}"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["median_ms"]


PEERS = {"onnxruntime": onnxruntime_ms, "openvino": openvino_ms}
NAMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}


def peer_ms(peer, file, shapes, threads):
    command = [sys.executable, __file__, "--peer", peer, file, json.dumps(shapes), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{peer} {file}: {done.stderr.strip().splitlines()[-1]}")
    return float(done.stdout)


def main():
    if sys.argv[1:2] == ["--peer"]:
        peer, file, shapes, threads = sys.argv[2:6]
        print(PEERS[peer](file, json.loads(shapes), int(threads)))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--floats", type=pathlib.Path)
    parser.add_argument("--mezzo", default=str(HERE.parent / "build/mezzo"))
    parser.add_argument("--networks", default=",".join(SHAPES))
    parser.add_argument("--batches", default="1,8")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--avx2", action="store_true")
    options = parser.parse_args()
    peers = ["openvino"] if options.avx2 else list(PEERS)
    if options.avx2:
        os.environ |= {"MEZZO_ISA": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
    titles = ["network", "batch", "threads", "mezzo ms", *(f"{NAMES[p]} ms" for p in peers), "mezzo / best", "float in mezzo / int8"]
    print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
    ratios = []
    for network in options.networks.split(","):
        for batch in map(int, options.batches.split(",")):
            for threads in map(int, options.threads.split(",")):
                file = str(options.folder / f"{network}.onnx")
                shapes = {name: (batch, *shape) for name, shape in SHAPES[network].items()}
                rounds = []
                for _ in range(options.rounds):
                    row = [mezzo_ms(options.mezzo, file, shapes, threads)]
                    row += [peer_ms(peer, file, shapes, threads) for peer in peers]
                    if options.floats:
                        model = options.floats / network / "model.onnx"
                        row.append(mezzo_ms(options.mezzo, str(model), shapes, threads) / row[0])
                    rounds.append(row)
                mezzo, *others = (statistics.median(column) for column in list(zip(*rounds))[: 1 + len(peers)])
                speedup = f"{statistics.median(row[-1] for row in rounds):.2f}" if options.floats else "-"
                ratios.append(mezzo / min(others))
                cells = " | ".join(f"{ms:.2f}" for ms in (mezzo, *others))
                print(f"| {network} | {batch} | {threads} | {cells} | {ratios[-1]:.2f} | {speedup} |", flush=True)
    print(f"\ngeometric mean of mezzo / best: {math.exp(statistics.mean(map(math.log, ratios))):.2f}")


if __name__ == "__main__":
    main()
