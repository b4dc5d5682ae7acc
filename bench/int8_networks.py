"""Every network of the INT8 work, quantized by mezzo and by others, in one table.

    python bench/int8_networks.py DATA OUT [--networks ocr,kws] [--ours-only] [--tools ort-minmax,nncf]
                                  [--limit SECONDS] [--mezzo build/mezzo]

DATA is what bench/prepare_int8_data.py made. All tools see DATA/NETWORK/development only (peers its first samples, mezzo
as many and the others to choose by) and are measured on DATA/NETWORK/evaluation. Each quantization is a process of its
own: seconds and peak memory (maximum resident set) are of the whole process, and past the limit it is stopped. The
written files run in the engine they are for. ONNX Runtime's run twice: with default options, where a CPU without VNNI
adds products of u8 and s8 codes in 16 bits and saturates, and exactly (session.x64quantprecision). mezzo's runs in mezzo
and, to check the file, in ONNX Runtime likewise and in OpenVINO. Exit status 1 if exact ONNX Runtime agrees with mezzo on less than 99.5%
of the predictions, or a product of the file is not fused.
OUT gets the files, int8_networks.json and int8_networks.md.
"""

import argparse
import json
import pathlib
import pickle
import platform
import shlex
import shutil
import sys

import numpy as np
import networks
from processes import run_process

PEERS = ["ort-minmax", "ort-minmax-s8", "ort-entropy", "ort-percentile", "nncf"]
HERE = pathlib.Path(__file__).parent
ENGINES = ["onnxruntime-exact", "onnxruntime", "openvino"]  # that mezzo's files are checked in
LEAST_AGREEMENT = 0.995


def peer_command(*arguments):
    return [sys.executable, HERE / "peers.py", *arguments]


def run_engine(engine, network, folder, file, out, limit):
    """The judged outputs and the labels, or a failure."""
    log = out.parent / f"{out.stem}.{engine}.log"
    result = run_process(peer_command("run", engine, network.name, folder, file, out), limit, log)
    if result["failure"]:
        return None, None, result["failure"]
    pairs = pickle.loads(out.read_bytes())
    return [o for o, _ in pairs], [label for _, label in pairs], None


def size_of(file):
    files = [file, file.with_suffix(".bin")] if file.suffix == ".xml" else [file]
    return sum(f.stat().st_size for f in files)


def judge(network, outputs, labels, reference, model):
    """The figures of some outputs; agreement and SQNR are with the float network's."""
    return {
        "metric": network.measure(outputs, labels, model),
        "agreement": networks.agreement(
            network, network.predict(outputs, model), network.predict(reference, model)
        ),
        "sqnr_db": networks.sqnr(outputs, reference),
    }


def measure_peer(tool, network, folder, out, reference, limit):
    file = out / f"{network.name}-{tool}.onnx"
    row = run_process(peer_command("quantize", tool, network.name, folder, file), limit, file.with_suffix(".log"))
    row["tool"] = tool
    if row["failure"]:
        return row
    file = pathlib.Path(json.loads(row["last"])["file"])
    row["bytes"] = size_of(file)
    engines = {"openvino": ""} if tool == "nncf" else {"onnxruntime": "", "onnxruntime-exact": "exact_"}
    for engine, prefix in engines.items():
        outputs, labels, failure = run_engine(engine, network, folder, file, file.with_suffix(".outputs"), limit)
        row["failure"] = row["failure"] or failure
        if outputs:
            figures = judge(network, outputs, labels, reference, folder / "model.onnx")
            row |= {prefix + key: value for key, value in figures.items()}
    return row


def mezzo_outputs(mezzo, network, folder, file, out, limit):
    """The program's outputs on the evaluation part, by its --metric-command; or a failure."""
    shutil.rmtree(out, ignore_errors=True)
    collect = f"{shlex.quote(sys.executable)} {shlex.quote(str(HERE / 'collect_outputs.py'))} {shlex.quote(str(out))}"
    command = [mezzo, "evaluate", file, "--data", folder / "evaluation", "--metric-command", collect]
    command += ["--preprocess", network.preprocess] if network.preprocess else []
    result = run_process(command, limit, file.with_suffix(".evaluate.log"))
    if result["failure"]:
        return None, result["failure"]
    arrays = [np.load(path) for path in sorted(out.glob("*.npz"))]
    name = networks.output_name(folder / "model.onnx", network.output)
    return [a[name] for a in arrays], None


def measure_mezzo(mezzo, network, folder, out, reference, labels, limit, name="mezzo", options=(), check=True):
    """A row of the program with some options more; `check` asks other engines, too."""
    file = out / f"{network.name}-{name}.onnx"
    command = [mezzo, "quantize", folder / "model.onnx", "-o", file, "--data", folder / "development"]
    command += ["--samples", network.calibration, "--task", network.task, "--output-index", network.output]
    command += ["--border", networks.BORDER] if network.task == "psnr" else []
    command += ["--preprocess", network.preprocess] if network.preprocess else []
    row = run_process([*command, *options], limit, file.with_suffix(".log"))
    row["tool"] = name
    if row["failure"]:
        return row
    row["bytes"] = size_of(file)
    outputs, row["failure"] = mezzo_outputs(mezzo, network, folder, file, file.with_suffix(".outputs"), limit)
    if outputs:
        row |= judge(network, outputs, labels, reference, folder / "model.onnx")
        if check:
            row["artifact"] = check_artifact(network, folder, file, outputs, limit)
    return row


def check_artifact(network, folder, file, ours, limit):
    """How the file does in other engines: figure, agreement with mezzo's predictions, largest difference, fusion."""
    checks = {}
    model = folder / "model.onnx"
    for engine in ENGINES:
        target = file.with_suffix(f".{engine}")
        outputs, labels, failure = run_engine(engine, network, folder, file, target, limit)
        if failure:
            checks[engine] = {"failure": failure}
            continue
        checks[engine] = {
            "metric": network.measure(outputs, labels, model),
            "agreement": networks.agreement(
                network, network.predict(outputs, model), network.predict(ours, model)
            ),
            "largest_difference": max(float(np.max(np.abs(a - b))) for a, b in zip(outputs, ours)),
        }
    log = file.with_suffix(".fusion.log")
    run_process([sys.executable, HERE / "check_fusion.py", file, "--json"], limit, log)
    text = log.read_text(errors="replace")
    checks["fusion"] = json.loads(text[text.index("{") : text.rindex("}") + 1]) if "{" in text else {"failure": text}
    return checks


def artifact_faults(network, row):
    """Why the artifact of a row does not count as working."""
    if "artifact" not in row:
        return [f"{network.name}: {row['failure']}"]
    exact, faults = row["artifact"]["onnxruntime-exact"], []
    if "failure" in exact or exact["agreement"] < LEAST_AGREEMENT:
        why = exact.get("failure") or f"agrees on {exact['agreement']:.2%}"
        faults.append(f"{network.name}: in ONNX Runtime the file {why}")
    for engine, result in row["artifact"]["fusion"].items():
        for node in result.get("not_fused", []) if isinstance(result, dict) else []:
            faults.append(f"{network.name}: {engine} does not fuse {node}")
    return faults


def measure_network(network, data, options):
    """The rows of a network: float, mezzo, the peers."""
    folder, out = data / network.name, options.out
    model = folder / "model.onnx"
    reference, labels, failure = run_engine("onnxruntime", network, folder, model, out / f"{network.name}.float", 3600)
    if failure:
        raise SystemExit(f"{network.name}: the float network does not run: {failure}")
    figure = network.measure(reference, labels, model)
    rows = [{"tool": "float", "failure": None, "bytes": size_of(model), "metric": figure}]
    rows.append(measure_mezzo(options.mezzo, network, folder, out, reference, labels, options.limit))
    for tool in [] if options.ours_only else options.tools.split(","):
        rows.append(measure_peer(tool, network, folder, out, reference, options.limit))
    for row in rows:
        print(table_row(network, row), flush=True)
    return rows


def cell(row, key, form):
    value = row.get(key)
    return "-" if value is None or value != value else form.format(value)


def both(row, key, form):
    """The figure, and beside it the one of exact products if that was measured."""
    exact = f" ({cell(row, 'exact_' + key, form)} exact)" if "exact_" + key in row else ""
    return cell(row, key, form) + exact


def table_row(network, row):
    artifact = row.get("artifact", {})
    checks = [
        f'{cell(artifact.get(e, {}), "agreement", "{:.2%}")} ({cell(artifact.get(e, {}), "metric", "{:.4f}")})'
        for e in ENGINES
    ]
    cells = [
        f"{network.name} ({network.metric})",
        row["tool"],
        row["failure"] or both(row, "metric", "{:.4f}"),
        both(row, "agreement", "{:.2%}"),
        both(row, "sqnr_db", "{:.1f}"),
        cell(row, "seconds", "{:.1f}"),
        cell({k: v / 1e6 for k, v in row.items() if k == "peak_bytes"}, "peak_bytes", "{:.0f}"),
        cell({k: v / 1e6 for k, v in row.items() if k == "bytes"}, "bytes", "{:.2f}"),
        " / ".join(checks) if artifact else "",
    ]
    return "| " + " | ".join(cells) + " |"


def machine():
    names = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    flags = next(line for line in open("/proc/cpuinfo") if line.startswith("flags")).split()
    known = [f for f in ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "amx_int8") if f in flags]
    return f"{names[0] if names else platform.processor()}, {len(names)} cores, {' '.join(known)}"


HEAD = """| network (figure) | tool | figure | agreement | SQNR dB | seconds | peak MB | file MB | agree with mezzo (and their figure): ONNX Runtime exact / default / OpenVINO |
|---|---|---|---|---|---|---|---|---|
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--networks", default=",".join(n.name for n in networks.NETWORKS))
    parser.add_argument("--tools", default=",".join(PEERS))
    parser.add_argument("--ours-only", action="store_true")
    parser.add_argument("--limit", type=float, default=1800, help="seconds a quantization or a run may take (1800)")
    parser.add_argument("--mezzo", type=pathlib.Path, default=HERE.parent / "build/mezzo")
    options = parser.parse_args()
    if not options.mezzo.exists():
        raise SystemExit(f"there is no {options.mezzo}: build the program first, or name it by --mezzo")
    options.out.mkdir(parents=True, exist_ok=True)
    print(HEAD, end="")
    results, lines, faults = {}, [], []
    for network in [networks.network_named(name) for name in options.networks.split(",")]:
        rows = results[network.name] = measure_network(network, options.data, options)
        lines += [table_row(network, row) for row in rows]
        faults += artifact_faults(network, rows[1])
        # Written after every network: a long run that is stopped keeps what it has.
        record = {"machine": machine(), "networks": results, "faults": faults}
        (options.out / "int8_networks.json").write_text(json.dumps(record, indent=1))
        (options.out / "int8_networks.md").write_text(f"On {machine()}.\n\n{HEAD}" + "\n".join(lines) + "\n")
    print("\n".join(faults))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
