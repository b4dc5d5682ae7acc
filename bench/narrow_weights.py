"""Networks with weights of 2 to 8 bits, quantized by mezzo, in one table: what they lose and how large the files are.

    python bench/narrow_weights.py DATA OUT [--networks lite0,minilm] [--formats int8,nf4:32] [--check]
                                   [--limit SECONDS] [--mezzo build/mezzo]

DATA is what bench/prepare_int8_data.py made. A format is FORMAT or FORMAT:GROUP_SIZE; look-up tables take it too, without
groups, but for int8 ones below 4 bits. Every layer is in that format, so the tolerance is 100%; ranges are not refined.
--check runs the files in ONNX Runtime and OpenVINO, too, and fails as int8_networks.py does. OUT gets the files and
narrow_weights.json.
"""

import argparse
import json
import pathlib
import sys

import int8_networks as int8
import networks

NETWORKS = "lite0,squeezenet,resnet20,minilm"
FORMATS = (
    "int8,nf6,int6,nf5,int5,nf4:32,nf4:64,nf4,int4:32,int4:64,int4,nf3:32,nf3:64,nf3,int3:32,int3,nf2:32,nf2:64,nf2,int2"
)
FAST = ["--tolerance", "100%", "--no-refine"]
HEAD = """| network (figure) | weights | figure | agreement | SQNR dB | file bytes | agree with mezzo: ONNX Runtime exact / default / OpenVINO |
|---|---|---|---|---|---|---|"""


def quantize_options(text):
    """The program's options for FORMAT or FORMAT:GROUP."""
    name, _, group = text.partition(":")
    tables = "int8" if int(name[-1]) < 4 else name
    return [*FAST, "--weights", name, "--tables", tables, *(["--group-size", group] if group else [])]


def table_row(network, row):
    artifact = row.get("artifact", {})
    cells = [
        f"{network.name} ({network.metric})",
        row["tool"],
        row["failure"] or int8.cell(row, "metric", "{:.4f}"),
        int8.cell(row, "agreement", "{:.2%}"),
        int8.cell(row, "sqnr_db", "{:.1f}"),
        int8.cell(row, "bytes", "{}"),
        " / ".join(int8.cell(artifact.get(e, {}), "agreement", "{:.2%}") for e in int8.ENGINES) if artifact else "",
    ]
    return "| " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--networks", default=NETWORKS)
    parser.add_argument("--formats", default=FORMATS)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--limit", type=float, default=1800, help="seconds a quantization or a run may take (1800)")
    parser.add_argument("--mezzo", type=pathlib.Path, default=int8.HERE.parent / "build/mezzo")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    print(HEAD, flush=True)
    results, faults = {}, []
    for network in [networks.network_named(name) for name in options.networks.split(",")]:
        folder = options.data / network.name
        model, float_out = folder / "model.onnx", options.out / f"{network.name}.float"
        reference, labels, failure = int8.run_engine("onnxruntime", network, folder, model, float_out, options.limit)
        if failure:
            raise SystemExit(f"{network.name}: the float network does not run: {failure}")
        rows = results[network.name] = [{"tool": "float", "failure": None, "bytes": int8.size_of(model)}]
        rows[0]["metric"] = network.measure(reference, labels, model)
        print(table_row(network, rows[0]), flush=True)
        for name in options.formats.split(","):
            row = int8.measure_mezzo(options.mezzo, network, folder, options.out, reference, labels, options.limit,
                                     name.replace(":", "-"), quantize_options(name), options.check)  # fmt: skip
            rows.append(row)
            faults += int8.artifact_faults(network, row) if options.check or row["failure"] else []
            print(table_row(network, row), flush=True)
            record = {"machine": int8.machine(), "networks": results, "faults": faults}
            (options.out / "narrow_weights.json").write_text(json.dumps(record, indent=1))
    print("\n".join(faults))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
