"""What calibration costs: all of mezzo's rules together, and ONNX Runtime's calibrators one by one, on the same samples.

    python bench/calibration_cost.py NETWORK DATA [--samples 64] [--runs 3] [--mezzo build/mezzo] [--rules MinMax,...]

DATA is what bench/prepare_int8_data.py made. Each calibration is a process of its own. Seconds: mezzo's of its stage
"calibrating", in which samples are read, run and counted and the ranges of every rule computed; ONNX Runtime's of reading
and collecting all samples and computing the ranges. The median of the runs, which take turns. Memory: the largest
resident set of the process.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import networks
import peers

HERE = pathlib.Path(__file__).parent


def calibrate_in_onnxruntime(network, folder, rule, samples):
    from onnxruntime import quantization as q

    with tempfile.TemporaryDirectory() as temporary:
        model, prepared = pathlib.Path(temporary) / "a.onnx", pathlib.Path(temporary) / "b.onnx"
        peers.converted(folder / "model.onnx", model)
        peers.preprocess(model, prepared)
        calibrator = q.create_calibrator(
            str(prepared), [], str(pathlib.Path(temporary) / "c.onnx"), calibrate_method=q.CalibrationMethod[rule]
        )
        reader = type("SampleReader", (peers.Reader, q.CalibrationDataReader), {})
        start = time.monotonic()
        inputs = (s.inputs for s in networks.read_samples(folder / "development", network, samples))
        calibrator.collect_data(reader(inputs))
        calibrator.compute_data()
        print(json.dumps({"seconds": time.monotonic() - start}))


def run(command):
    """The process's last line of standard output, and its peak memory in bytes."""
    child = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    out = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return (out, usage.ru_maxrss * 1024) if child.returncode == 0 else (None, usage.ru_maxrss * 1024)


def run_mezzo(mezzo, network, folder, samples):
    with tempfile.TemporaryDirectory() as temporary:
        command = [mezzo, "quantize", folder / "model.onnx", "-o", pathlib.Path(temporary) / "q.onnx", "--json"]
        command += ["--data", folder / "development", "--samples", samples, "--task", network.task]
        command += ["--preprocess", network.preprocess] if network.preprocess else []
        out, peak = run(command)
    stages = {s["name"]: s["seconds"] for s in json.loads(out)["stages"]}
    return stages["calibrating"], peak


def run_rule(rule, network, folder, samples):
    command = [sys.executable, __file__, network.name, folder.parent, "--samples", samples, "--only", rule]
    out, peak = run(command)
    return (json.loads(out.splitlines()[-1])["seconds"] if out else float("nan")), peak


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network")
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rules", default="MinMax,Percentile,Entropy")
    parser.add_argument("--mezzo", type=pathlib.Path, default=HERE.parent / "build/mezzo")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    network = networks.network_named(options.network)
    folder = options.data / network.name
    if options.only:
        return calibrate_in_onnxruntime(network, folder, options.only, options.samples)
    tools = {"mezzo, all rules": lambda: run_mezzo(options.mezzo, network, folder, options.samples)}
    for rule in options.rules.split(","):
        tools[f"ONNX Runtime {rule}"] = lambda rule=rule: run_rule(rule, network, folder, options.samples)
    results = {name: [] for name in tools}
    for _ in range(options.runs):
        for name, measure in tools.items():
            results[name].append(measure())
    ours = statistics.median(seconds for seconds, _ in results["mezzo, all rules"])
    print("| calibration | seconds | mezzo's time of it | peak MB |\n|---|---|---|---|")
    for name, figures in results.items():
        seconds = statistics.median(s for s, _ in figures)
        peak = max(p for _, p in figures) / 1e6
        print(f"| {name} | {seconds:.2f} | {ours / seconds:.2f} | {peak:.0f} |")


if __name__ == "__main__":
    main()
