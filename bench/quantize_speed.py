"""`mezzo quantize` of a language model beside the same algorithm in PyTorch: time, memory, and the noise both leave.

    python bench/quantize_speed.py MODEL TEXT OUT [--scheme w4a8-int8] [--mezzo build/mezzo] [--threads 2]

MODEL is a Hugging Face folder of a Llama. Both take its blocks in turn through GPTQ with group-aware reordering and a
search of scales, calibrated on the first windows of TEXT, and write packed codes; layers behind quantized ones see
activations as the scheme has them, float or int8 for each token and group. Equal noise (a layer's share of its
outputs' power, mean over layers) tells that they did the same. Needs torch, safetensors, tokenizers and numpy.

Where other work runs too, set OMP_WAIT_POLICY=passive: else PyTorch's threads spend CPU seconds on waiting.
"""

import argparse
import contextlib
import json
import pathlib
import resource
import shutil
import sys
import time

import torch
import torch.nn.functional as F
from processes import run_process
from safetensors import safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer

HERE = pathlib.Path(__file__).parent
VALUES = {
    "int4": list(range(-8, 8)),
    "nf4": [
        *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635),
        *(-0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725),
        *(0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
    ],
}
SHRINK = (1, 0.97, 0.94, 0.91, 0.88, 0.85, 0.82, 0.79, 0.76, 0.73, 0.7, 0.67, 0.64, 0.6, 0.56, 0.52)
SPENT = {}  # phase -> seconds, CPU seconds


@contextlib.contextmanager
def phase(name):
    start = time.monotonic(), time.process_time()
    yield
    sums = SPENT.setdefault(name, [0, 0])
    sums[0] += time.monotonic() - start[0]
    sums[1] += time.process_time() - start[1]


class Codebook:
    def __init__(self, name):
        self.values = torch.tensor(VALUES[name], dtype=torch.float32)
        self.middles = (self.values[1:] + self.values[:-1]) / 2
        self.integers = name == "int4"
        self.largest = 7.5 if self.integers else 1.0  # codes from -8 to 7: both ends half a step out

    def round(self, x, out):
        if self.integers:
            return torch.round(x, out=out).clamp_(-8, 7)
        return torch.take(self.values, torch.bucketize(x, self.middles), out=out)


def choose_scales(w, weight, book):
    """For each row of a group (columns, rows) the scale that gives the least weighted squared error."""
    most = w.abs().amax(0) / book.largest
    least, best = torch.full_like(most, torch.inf), torch.empty_like(most)
    x, rounded = torch.empty_like(w), torch.empty_like(w)
    for shrink in SHRINK:
        scale = (most * shrink).bfloat16().float().clamp_(min=torch.finfo().tiny)
        torch.mul(w, 1 / scale, out=x)
        error = weight @ x.sub_(book.round(x, rounded)).square_() * scale.square()
        better = error < least
        least, best = torch.where(better, error, least), torch.where(better, scale, best)
    return best


def group_aware_order(diagonal, group):
    """The order of columns, and that of groups."""
    sizes, inside = diagonal.view(-1, group).sort(dim=1, descending=True, stable=True)
    groups = sizes[:, 0].sort(descending=True, stable=True).indices
    return (inside + torch.arange(0, len(diagonal), group)[:, None])[groups].flatten(), groups


def inverse_factor(h, damping):
    """Upper triangular U with h^-1 = U^T U: h factored from its last row up, so that only a triangle is inverted."""
    mean, eye = h.diagonal().mean(), torch.eye(len(h))
    h.diagonal().add_(torch.where(h.diagonal() == 0, mean, 0))
    while True:
        lower, failed = torch.linalg.cholesky_ex((h + damping * mean * eye).flip(0, 1))
        if not failed:
            return torch.linalg.solve_triangular(lower, eye, upper=False).flip(0, 1)
        damping *= 10


def solve(w, factor, group, book):
    """Rounds w (columns, rows), which it uses up, to values (columns, rows) times scales (groups, rows)."""
    values, scales = torch.empty_like(w), torch.empty(len(w) // group, w.shape[1])
    for g, begin in enumerate(range(0, len(w), group)):
        end = begin + group
        u = factor[begin:end, begin:]
        scales[g] = choose_scales(w[begin:end], 1 / u.diagonal().square(), book)
        u = u / u.diagonal()[:, None]
        x = w[begin:end].div_(scales[g])  # column after column becomes its error
        for j in range(group):
            x[j].sub_(book.round(x[j], values[begin + j]))
            x[j + 1 :].addr_(u[j, j + 1 : group], x[j], alpha=-1)
        w[end:].addmm_(u[:, group:].T, x.mul_(scales[g]), alpha=-1)
    return values, scales


def round_rows(table):
    """int8 codes and a scale for each row; uses up the table."""
    scale = (torch.linalg.vector_norm(table, torch.inf, 1) / 127).clamp_(min=torch.finfo().tiny)
    return table.div_(scale[:, None]).round_().to(torch.int8), scale


class Llama:
    def __init__(self, options):
        self.o, self.book, self.noise = options, Codebook(options.codes), {}
        self.config = c = json.loads((options.model / "config.json").read_text())
        if c["model_type"] != "llama" or c.get("rope_scaling") or c.get("attention_bias"):
            raise SystemExit(f"{options.model}: only Llamas with plain rotary positions and no biases")
        self.size = c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]
        speeds = c.get("rope_theta", 10000.0) ** (-torch.arange(0, self.size, 2) / self.size)
        angles = (torch.arange(options.context)[:, None] * speeds).repeat(1, 2)
        self.cos, self.sin = angles.cos(), angles.sin()
        self.files = {}
        for file in options.model.glob("*.safetensors"):
            with safe_open(file, "pt") as f:
                self.files |= dict.fromkeys(f.keys(), file)

    def read(self, name):
        with safe_open(self.files[name], "pt") as f:  # mapped no longer than it is read
            return f.get_tensor(name).to(torch.float32, copy=True)

    def seen(self, x):
        """What products read."""
        if self.o.scheme == "w4a16":
            return x
        t = x.unflatten(1, (-1, self.o.group_size))
        scale = (torch.linalg.vector_norm(t, torch.inf, 2, keepdim=True) / 127).clamp_(min=torch.finfo().tiny)
        return (t / scale).round_().mul_(scale).flatten(1)

    def quantize(self, prefix, layers, x):
        """Rounded weights, stacked, of layers that read x (rows, inputs); self.out takes what is to be written."""
        group, names = self.o.group_size, [prefix + layer for layer in layers]
        weights = [self.read(f"{name}.weight") for name in names]
        rows, w = [len(w) for w in weights], torch.cat(weights)
        with phase("forward and Hessian"):
            h = x.T @ x
        with phase("factorization"):
            order, groups = group_aware_order(h.diagonal(), group)
            factor = inverse_factor(h[order][:, order], self.o.damping)
        with phase("solve"):
            values, scales = torch.empty_like(w), torch.empty(len(w), len(groups))
            solved = solve(w[:, order].T.contiguous(), factor, group, self.book)
            values[:, order], scales[:, groups] = solved[0].T, solved[1].T
            rounded = (values.unflatten(1, (-1, group)) * scales[:, :, None]).flatten(1)
        codes = torch.bucketize(values, self.book.middles).to(torch.uint8)
        packed = codes[:, ::2] | codes[:, 1::2] << 4
        parts = (packed, scales.bfloat16(), w, rounded)
        for name, p, s, a, b in zip(names, *(t.split(rows) for t in parts)):
            self.out |= {f"{name}.weight_packed": p, f"{name}.weight_scale": s}
            lost, power = (((m @ h) * m).sum() for m in (a - b, a))
            self.noise[name] = float(lost / power)
        return rounded

    def norm(self, name, x):
        weight = self.out[name] = self.read(name)
        return F.rms_norm(x, weight.shape, weight, self.config["rms_norm_eps"])

    def rotate(self, t):
        a, b = t.chunk(2, -1)
        return t * self.cos + torch.cat((-b, a), -1) * self.sin

    def attention(self, qkv):
        c = self.config
        t = qkv.view(self.o.windows, self.o.context, -1, self.size).transpose(1, 2)
        q, k, v = t.split([c["num_attention_heads"], *[c["num_key_value_heads"]] * 2], 1)
        y = F.scaled_dot_product_attention(self.rotate(q), self.rotate(k), v, is_causal=True, enable_gqa=True)
        return y.transpose(1, 2).reshape(len(qkv), -1)

    def quantize_block(self, i, x):
        """x (tokens, channels) becomes what the rounded block makes of it."""
        forward, prefix, self.out = "forward and Hessian", f"model.layers.{i}.", {}
        with phase(forward):
            y = self.norm(prefix + "input_layernorm.weight", x)
        w = self.quantize(prefix, ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"], y)
        with phase(forward):
            y = self.attention(self.seen(y) @ w.T)
        w = self.quantize(prefix, ["self_attn.o_proj"], y)
        with phase(forward):
            y = self.norm(prefix + "post_attention_layernorm.weight", x.addmm_(self.seen(y), w.T))
        w = self.quantize(prefix, ["mlp.gate_proj", "mlp.up_proj"], y)
        with phase(forward):
            y, (gate, up) = self.seen(y), w.chunk(2)
            y = F.silu(y @ gate.T, inplace=True).mul_(y @ up.T)
        w = self.quantize(prefix, ["mlp.down_proj"], y)
        with phase(forward):
            x.addmm_(self.seen(y), w.T)
        save_file({name: t.contiguous() for name, t in self.out.items()}, self.o.out / f"block-{i}.safetensors")

    def run(self):
        o = self.o
        o.out.mkdir(parents=True)
        ids = Tokenizer.from_file(str(o.model / "tokenizer.json")).encode(o.text.read_text()).ids
        x = self.read("model.embed_tokens.weight")[ids[: o.windows * o.context]]
        for i in range(self.config["num_hidden_layers"]):
            self.quantize_block(i, x)
        tables = {"model.norm.weight": self.read("model.norm.weight")}
        for name in [n for n in ("model.embed_tokens", "lm_head") if f"{n}.weight" in self.files]:
            tables[f"{name}.weight_codes"], tables[f"{name}.weight_scale"] = round_rows(self.read(f"{name}.weight"))
        save_file(tables, o.out / "tables.safetensors")


def measure(name, command, folder):
    shutil.rmtree(folder, ignore_errors=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    made = run_process(command, 36000, folder.with_suffix(".log"))
    if made["failure"]:
        raise SystemExit(f"{name}: {made['failure']}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    made["cpu"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "text", "out"):
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument("--codes", choices=VALUES, default="int4")
    parser.add_argument("--scheme", choices=["w4a16", "w4a8-int8"], default="w4a8-int8")
    parser.add_argument("--mezzo", type=pathlib.Path, default=HERE.parent / "build/mezzo")
    parser.add_argument("--damping", type=float, default=0.01)
    for name, value in {"threads": 2, "windows": 20, "context": 512, "group-size": 64}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--torch-only", action="store_true", help="PyTorch's part alone, into OUT")
    o = parser.parse_args()
    if o.torch_only:
        torch.set_num_threads(o.threads)
        with torch.inference_mode():
            llama = Llama(o)
            llama.run()
        print(json.dumps({"phases": SPENT, "noise": llama.noise}))
        return
    o.out.mkdir(parents=True, exist_ok=True)
    common = ["--codes", o.codes, "--threads", o.threads, "--windows", o.windows, "--context", o.context]
    common += ["--group-size", o.group_size, "--damping", o.damping, "--scheme", o.scheme]
    folders = {name: o.out / name for name in ("mezzo", "torch")}
    command = [o.mezzo, "quantize", o.model, "-o", folders["mezzo"], "--data", o.text, *common]
    runs = {"mezzo": measure("mezzo", command, folders["mezzo"])}
    command = [sys.executable, __file__, o.model, o.text, folders["torch"], "--torch-only", *common]
    runs["torch"] = measure("torch", command, folders["torch"])
    told = json.loads(runs["torch"]["last"])
    layers = json.loads((folders["mezzo"] / "plan.json").read_text())["layers"]
    noise = {"mezzo": {layer["layer"]: layer["error"] for layer in layers}, "torch": told["noise"]}
    if noise["mezzo"].keys() != noise["torch"].keys():
        raise SystemExit("not the same layers")
    print("| | seconds | CPU seconds | peak MB | mean noise of layers |")
    print("|---|---|---|---|---|")
    figures = {n: (r["seconds"], r["cpu"], r["peak_bytes"] / 1e6) for n, r in runs.items()}
    means = {n: sum(values.values()) / len(values) for n, values in noise.items()}
    for name, (seconds, cpu, peak) in figures.items():
        print(f"| {name} | {seconds:.1f} | {cpu:.1f} | {peak:.0f} | {means[name]:.4%} |")
    ratios = [b / a for a, b in zip(figures["mezzo"], figures["torch"])]
    print("| torch / mezzo | " + " | ".join(f"{r:.2f}" for r in [*ratios, means["torch"] / means["mezzo"]]) + " |")
    told["phases"]["rest"] = [figures["torch"][i] - sum(p[i] for p in told["phases"].values()) for i in (0, 1)]
    split = ", ".join(f"{name} {wall:.1f} ({cpu:.1f})" for name, (wall, cpu) in told["phases"].items())
    print(f"\ntorch, seconds (CPU seconds): {split}")


if __name__ == "__main__":
    main()
