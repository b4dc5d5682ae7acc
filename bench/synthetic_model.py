"""A language model of real shapes with random four-bit weights, in Mezzo's layout, to time what no trained model is needed for.

    python bench/synthetic_model.py OUT [--hidden 2048 --feed-forward 8192 --layers 16 --heads 32 --kv-heads 8 --vocabulary 128256]

The defaults are the shapes of Llama 3.2 1B. Needs numpy. `mezzo bench OUT` runs it; it has no tokenizer.
"""

import argparse
import json
import pathlib

import numpy as np


def write_safetensors(path, tensors):
    kinds = {"uint8": "U8", "int8": "I8", "uint16": "BF16", "float32": "F32"}
    header, at = {}, 0
    for name, t in tensors.items():
        header[name] = {"dtype": kinds[t.dtype.name], "shape": t.shape, "data_offsets": [at, at + t.nbytes]}
        at += t.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for t in tensors.values():
            f.write(t.tobytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    defaults = {"hidden": 2048, "feed-forward": 8192, "layers": 16, "heads": 32, "kv-heads": 8, "vocabulary": 128256}
    for name, value in defaults.items():
        parser.add_argument("--" + name, type=int, default=value)
    o = parser.parse_args()
    o.out.mkdir(parents=True)
    random = np.random.default_rng(1)
    kv = o.hidden // o.heads * o.kv_heads

    def linear(name, rows, cols):
        scales = np.full((rows, cols // 64), 0.5 / cols**0.5 / 12, np.float32).view(np.uint32) >> 16
        codes = random.integers(0, 256, (rows, cols // 2), np.uint8)
        ones = np.ones(1, np.float32)
        return {
            name + ".weight_packed": codes,
            name + ".weight_scale": scales.astype(np.uint16),
            name + ".weight_outer": ones,
        }

    def table(name):
        codes = random.integers(-127, 128, (o.vocabulary, o.hidden), np.int8)
        return {name + ".weight_codes": codes, name + ".weight_scale": np.full(o.vocabulary, 1e-3, np.float32)}

    ones = np.ones(o.hidden, np.float32)
    index = {}

    def write(file, tensors):
        write_safetensors(o.out / file, tensors)
        index.update({name: file for name in tensors})

    for i in range(o.layers):
        p = f"model.layers.{i}."
        tensors = {p + "input_layernorm.weight": ones, p + "post_attention_layernorm.weight": ones}
        for name, rows in (("q", o.hidden), ("k", kv), ("v", kv), ("o", o.hidden)):
            tensors |= linear(f"{p}self_attn.{name}_proj", rows, o.hidden)
        for name in ("gate", "up"):
            tensors |= linear(f"{p}mlp.{name}_proj", o.feed_forward, o.hidden)
        tensors |= linear(p + "mlp.down_proj", o.hidden, o.feed_forward)
        write(f"block-{i}.safetensors", tensors)
    write("tables.safetensors", table("model.embed_tokens") | {"model.norm.weight": ones})
    (o.out / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    config = {
        "model_type": "llama",
        "vocab_size": o.vocabulary,
        "hidden_size": o.hidden,
        "intermediate_size": o.feed_forward,
        "num_hidden_layers": o.layers,
        "num_attention_heads": o.heads,
        "num_key_value_heads": o.kv_heads,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "tie_word_embeddings": True,
        "hidden_act": "silu",
        "quantization_config": {
            "quant_method": "mezzo",
            "codes": "nf4i",
            "group_size": 64,
            "zero_points": False,
            "fp8": None,
            "activations": "int8",
            "activation_group": 64,
        },
    }
    (o.out / "config.json").write_text(json.dumps(config))


if __name__ == "__main__":
    main()
