"""What four bits cost a language model: every scheme quantized and measured, one row each.

    python bench/language_models.py MODEL CALIBRATION_TEXT TEXT OUT [--windows 12] [--mezzo build/mezzo] [--schemes A,B]

MODEL is a Hugging Face folder or a .gguf. Prints perplexity on the first windows of TEXT, divergence from MODEL, seconds
and peak memory of `mezzo quantize`. OUT gets a folder for each scheme.
"""

import argparse
import json
import pathlib
import shutil
import subprocess

from processes import run_process

HERE = pathlib.Path(__file__).parent
SCHEMES = {
    "int4 g64": "--scheme w4a16 --codes int4",
    "int4 g64, fp8 products": "--scheme w4a8-fp8 --codes int4",
    "int4 g32, fp8 products": "--scheme w4a8-fp8 --codes int4 --group-size 32",
    "int4 g64 with zero points, int8 per token": "--scheme w4a8-int8 --codes int4 --zero-points --activation-group 0",
    "nf4 g64": "--scheme w4a16",
    "nf4 g64, fp8 products": "--scheme w4a8-fp8",
    "nf4 g32, fp8 products": "--scheme w4a8-fp8 --group-size 32",
    "nf4 g64, int8 per token": "--scheme w4a8-int8 --activation-group 0",
    "nf4 g64, int8 per token and 64 channels": "--scheme w4a8-int8 --activation-group 64",
    "nf4 g64, to nearest": "--scheme w4a16 --rtn",
    "nf4 g64, not reordered": "--scheme w4a16 --no-reorder",
    "int4 g64, rotated": "--scheme w4a16 --codes int4 --rotate",
    "nf4 g64, rotated": "--scheme w4a16 --rotate",
    "nf4 g32, rotated": "--scheme w4a16 --group-size 32 --rotate",
    "nf4i g64, int8 per token and 64 channels, rotated": "--scheme w4a8-int8 --rotate",
    "nf4i g64, int8 per token, rotated": "--scheme w4a8-int8 --activation-group 0 --rotate",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "calibration", "text", "out"):
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument("--windows", default="12")
    parser.add_argument("--mezzo", type=pathlib.Path, default=HERE.parent / "build/mezzo")
    parser.add_argument("--schemes", default=",".join(SCHEMES).replace(", ", "; "), help="split by commas")
    options = parser.parse_args()
    print("| scheme | perplexity | KL | same top-1 | seconds | peak MB | folder MB |")
    print("|---|---|---|---|---|---|---|")
    for scheme in [s.replace("; ", ", ") for s in options.schemes.split(",")]:
        folder = options.out / scheme.replace(" ", "_").replace(",", "")
        shutil.rmtree(folder, ignore_errors=True)
        options.out.mkdir(parents=True, exist_ok=True)
        command = [options.mezzo, "quantize", options.model, "-o", folder, "--data", options.calibration]
        command += SCHEMES[scheme].split()
        made = run_process(command, 3600, folder.with_suffix(".log"))
        if made["failure"]:
            raise SystemExit(f"{scheme}: {made['failure']}")
        command = [options.mezzo, "evaluate", folder, "--data", options.text, "--windows", options.windows, "--json"]
        command += ["--reference", options.model]
        figures = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        kl, top = figures["divergence"]["kl"], figures["divergence"]["same_top1"]
        size = sum(f.stat().st_size for f in folder.iterdir())
        print(
            f"| {scheme} | {figures['perplexity']['value']:.3f} | {kl['value']:.4f} ± {kl['standard_error']:.4f} "
            f"| {top['value']:.1%} | {made['seconds']:.0f} | {made['peak_bytes'] / 1e6:.0f} | {size / 1e6:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
