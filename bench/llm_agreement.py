"""Small random language models of every architecture, as transformers writes and runs them, against mezzo evaluate.

    python bench/llm_agreement.py TOKENIZER_FOLDER TEXT OUT [--mezzo build/mezzo]

TOKENIZER_FOLDER has a tokenizer.json. Needs transformers, torch and peft. Both score the second half of 4 windows of 256
tokens; the largest relative difference of the perplexities is the answer. Then the same with the recovery paths that
mezzo quantize wrote beside the float weights, which PEFT loads as LoRA adapters.
"""

import argparse
import json
import pathlib
import shutil
import subprocess

import peft
import torch
import transformers
from tokenizers import Tokenizer

HERE = pathlib.Path(__file__).parent
WINDOWS, CONTEXT = 4, 256


def models(vocabulary):
    shape = dict(vocab_size=vocabulary, hidden_size=96, intermediate_size=256, num_hidden_layers=3, num_attention_heads=6)
    shape |= dict(num_key_value_heads=2, max_position_embeddings=512, initializer_range=0.3, bos_token_id=0, eos_token_id=0)
    llama3 = dict(rope_type="llama3", rope_theta=50000.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0)
    llama3["original_max_position_embeddings"] = 128
    linear = dict(rope_type="linear", rope_theta=10000.0, factor=2.0)
    yield "llama", transformers.LlamaConfig(**shape, tie_word_embeddings=False)
    yield "llama, rope llama3", transformers.LlamaConfig(**shape, rope_parameters=llama3, tie_word_embeddings=True)
    yield "llama, rope linear", transformers.LlamaConfig(**shape, rope_parameters=linear)
    yield "mistral", transformers.MistralConfig(**shape, sliding_window=None)
    yield "qwen2", transformers.Qwen2Config(**shape, tie_word_embeddings=True)
    gpt2 = dict(vocab_size=vocabulary, n_embd=96, n_layer=3, n_head=6, n_positions=512, initializer_range=0.3)
    yield "gpt2", transformers.GPT2Config(**gpt2, bos_token_id=0, eos_token_id=0)


def perplexity(model, tokens):
    windows = torch.tensor(tokens[: WINDOWS * CONTEXT]).reshape(WINDOWS, CONTEXT)
    with torch.no_grad():
        log_p = torch.log_softmax(model(windows).logits.double(), -1)
    first = CONTEXT // 2
    said = log_p[:, first:-1].gather(2, windows[:, first + 1 :, None])
    return torch.exp(-said.mean()).item()


def evaluate(o, folder):
    command = [o.mezzo, "evaluate", folder, "--data", o.text, "--context", str(CONTEXT), "--windows", str(WINDOWS)]
    made = subprocess.run([*command, "--json"], check=True, capture_output=True).stdout
    return json.loads(made)["perplexity"]["value"]


def add_paths(o, folder):
    quantized = folder.with_name(folder.name + "_quantized")
    shutil.rmtree(quantized, ignore_errors=True)
    command = [o.mezzo, "quantize", folder, "--data", o.text, "--scheme", "w4a16", "--group-size", "32", "-o", quantized]
    command += ["--context", "128", "--windows", "8", "--recovery-rank", "4"]
    subprocess.run(command, check=True, capture_output=True)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(quantized / name, folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("tokenizer", "text", "out"):
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument("--mezzo", type=pathlib.Path, default=HERE.parent / "build/mezzo")
    o = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(o.tokenizer / "tokenizer.json"))
    tokens = tokenizer.encode(o.text.read_text(), add_special_tokens=False).ids
    torch.manual_seed(1)
    worst = 0
    for name, config in models(tokenizer.get_vocab_size()):
        model = transformers.AutoModelForCausalLM.from_config(config).eval()
        with torch.no_grad():
            for key, values in model.named_parameters():  # that start as zeros and ones
                if values.dim() == 1:
                    values.normal_(mean=1.0 if "norm" in key or "ln_" in key else 0.0, std=0.3)
        folder = o.out / name.replace(" ", "_").replace(",", "")
        shutil.rmtree(folder, ignore_errors=True)
        model.save_pretrained(folder)
        shutil.copy(o.tokenizer / "tokenizer.json", folder)
        pairs = [("", perplexity(model, tokens), evaluate(o, folder))]
        add_paths(o, folder)
        recovered = peft.PeftModel.from_pretrained(model, folder).eval()
        pairs.append((" with paths", perplexity(recovered, tokens), evaluate(o, folder)))
        for what, want, got in pairs:
            worst = max(worst, abs(got / want - 1))
            print(f"{name}{what}: transformers {want:.4f}, mezzo {got:.4f}", flush=True)
    print(f"largest difference {worst:.1e}")


if __name__ == "__main__":
    main()
