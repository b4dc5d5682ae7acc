"""What `mezzo convert` writes, read by the programs it is for: one row each.

    python bench/llm_exports.py MODEL CALIBRATION_TEXT TEXT OUT [--llama FOLDER] [--windows 12] [--mezzo build/mezzo]

MODEL is a Hugging Face folder in float. Perplexity on the first windows of 512 tokens of TEXT, the second half of each
scored, by mezzo and by the program that reads the export: llama.cpp's llama-perplexity for GGUF (FOLDER has that and
llama-quantize, which also quantizes MODEL to the same types; without it these rows are left out), transformers with
compressed-tensors for folders, in float32. Quantized models that OUT holds are not made again. Needs torch, transformers,
compressed-tensors.
"""

import argparse
import json
import pathlib
import re
import shutil
import subprocess

HERE = pathlib.Path(__file__).parent
GGUF = {  # type: how mezzo quantizes to it
    "Q4_0": "--scheme w4a16 --codes int4 --group-size 32",
    "Q4_0 rotated": "--scheme w4a16 --codes int4 --group-size 32 --rotate",
    "Q4_1": "--scheme w4a16 --codes int4 --group-size 32 --zero-points",
    "IQ4_NL": "--scheme w4a16 --codes iq4nl --group-size 32",
}
FOLDERS = {
    "int4 g32": "--scheme w4a16 --codes int4 --group-size 32",
    "int4 g64 with zero points": "--scheme w4a16 --codes int4 --group-size 64 --zero-points",
    "int4 g128": "--scheme w4a16 --codes int4 --group-size 128",
    "int4 g128, fp8 products": "--scheme w4a8-fp8 --codes int4 --group-size 128",
    "int4 g32, rotated": "--scheme w4a16 --codes int4 --group-size 32 --rotate",
    "int4 g64, fp8 products": "--scheme w4a8-fp8 --codes int4 --group-size 64",
    "int4 g64, int8 per token": "--scheme w4a8-int8 --codes int4 --group-size 64 --activation-group 0",
}


class Bench:
    def __init__(self, options):
        self.o = options
        options.out.mkdir(parents=True, exist_ok=True)

    def mezzo(self, *arguments):
        return subprocess.run([self.o.mezzo, *arguments], check=True, capture_output=True, text=True).stdout

    def quantized(self, how):
        folder = self.o.out / re.sub(r"\W+", "_", how).strip("_")
        if not folder.exists():
            self.mezzo("quantize", self.o.model, "-o", folder, "--data", self.o.calibration, *how.split())
        return folder

    def converted(self, model, name):
        out = self.o.out / name
        if out.is_dir():
            shutil.rmtree(out)
        notes = self.mezzo("convert", model, out).splitlines()[:-1]
        return out, "; ".join(n.removeprefix("note: ") for n in notes)

    def mezzo_perplexity(self, model):
        out = self.mezzo("evaluate", model, "--data", self.o.text, "--windows", str(self.o.windows), "--json")
        return json.loads(out)["perplexity"]["value"]

    def llama_perplexity(self, gguf):
        command = [self.o.llama / "llama-perplexity", "-m", gguf, "-f", self.o.text, "-c", "512"]
        run = subprocess.run([*command, "--chunks", str(self.o.windows)], check=True, capture_output=True, text=True)
        return float(re.search(r"Final estimate: PPL = ([\d.]+)", run.stdout + run.stderr)[1])

    def llama_quantized(self, source, kind):
        """All linear layers in one type, embedding and head in Q8_0: the layout of ours."""
        out = self.o.out / f"llama-{kind}.gguf"
        types = ["--pure", "--token-embedding-type", "q8_0", "--output-tensor-type", "q8_0"]
        subprocess.run([self.o.llama / "llama-quantize", *types, source, out, kind], check=True, capture_output=True)
        return out

    def gguf_rows(self):
        print("| GGUF | by llama-quantize | by mezzo, in llama.cpp | by mezzo, in mezzo | said by convert |")
        print("|---|---|---|---|---|")
        source, _ = self.converted(self.o.model, "float.gguf")
        print(f"| F32 | {self.llama_perplexity(source):.3f} | | {self.mezzo_perplexity(self.o.model):.3f} | |", flush=True)
        for kind, how in GGUF.items():
            theirs = self.llama_perplexity(self.llama_quantized(source, kind.split()[0]))
            model = self.quantized(how)
            gguf, notes = self.converted(model, f"mezzo-{kind.replace(' ', '-')}.gguf")
            ours = self.llama_perplexity(gguf)
            print(f"| {kind} | {theirs:.3f} | {ours:.3f} | {self.mezzo_perplexity(model):.3f} | {notes} |", flush=True)

    def folder_rows(self):
        print("| compressed-tensors | in transformers | in mezzo | said by convert |")
        print("|---|---|---|---|")
        config = json.loads((self.o.model / "config.json").read_text())
        for name, how in FOLDERS.items():
            if any(config[size] % int(how.split("--group-size ")[1].split()[0]) for size in ("hidden_size", "intermediate_size")):
                print(f"| {name} | groups do not divide the model's sizes | | |", flush=True)
                continue
            model = self.quantized(how)
            folder, notes = self.converted(model, f"{model.name}-ct")
            ours = transformers_perplexity(folder, self.o.text, self.o.windows)
            print(f"| {name} | {ours:.3f} | {self.mezzo_perplexity(model):.3f} | {notes} |", flush=True)


def loaded(folder):
    """The folder as transformers loads it. With zero points transformers 5.23 and compressed-tensors 0.20 refuse what the
    latter itself writes (packed zero points have another shape than they prepare): then its decompressor, by layers."""
    import torch
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationScheme
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder)
    group = config.quantization_config["config_groups"]["group_0"]
    if group["weights"]["symmetric"]:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    scheme = QuantizationScheme(**group)
    packed, state = {}, {}
    for shard in sorted(folder.glob("*.safetensors")):
        for name, tensor in load_file(shard).items():
            module, part = name.rsplit(".", 1)
            if part.startswith("weight_"):
                packed.setdefault(module, {})[part] = tensor
            else:
                state[name] = tensor
    for module, tensors in packed.items():
        tensors["weight_scale"] = tensors["weight_scale"].float()
        plain = BaseCompressor.get_value_from_registry("pack-quantized").decompress(tensors, scheme)
        state[f"{module}.weight"] = plain["weight"]
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected or any("lm_head" not in name for name in missing):
        raise SystemExit(f"{folder}: {missing} are missing, {unexpected} unexpected")
    return model


def transformers_perplexity(folder, text, windows, context=512):
    import torch
    from transformers import AutoTokenizer

    model = loaded(folder)
    tokens = AutoTokenizer.from_pretrained(folder)(text.read_text(encoding="utf-8"), add_special_tokens=False)["input_ids"]
    total = count = 0
    for i in range(windows):
        ids = torch.tensor([tokens[i * context : (i + 1) * context]])
        with torch.no_grad():
            logits = model(ids).logits[0].double()
        first = context // 2
        loss = torch.nn.functional.cross_entropy(logits[first:-1], ids[0, first + 1 :], reduction="sum")
        total, count = total + loss.item(), count + context - first - 1
    return float(torch.tensor(total / count).exp())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "calibration", "text", "out"):
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument("--llama", type=pathlib.Path)
    parser.add_argument("--windows", type=int, default=12)
    parser.add_argument("--mezzo", type=pathlib.Path, default=HERE.parent / "build/mezzo")
    bench = Bench(parser.parse_args())
    if bench.o.llama:
        bench.gguf_rows()
    bench.folder_rows()


if __name__ == "__main__":
    main()
