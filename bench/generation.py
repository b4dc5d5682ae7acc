"""Tokens a second of language models, read and made, against llama.cpp and CTranslate2, in turns in one run.

    python bench/generation.py --mezzo-models A,B [--llama-bench PROGRAM --gguf X.gguf,Y.gguf] [--ct2 FOLDER] [--threads 1,2]

Reads 512 tokens at once, makes 64 with nothing before them (llama-bench's pp512 and tg64). Every tool runs --rounds times, in
turns; the medians are printed. CTranslate2 needs its package in the Python that runs this.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
CT2 = """
import sys, time, statistics, json, ctranslate2
model, threads = sys.argv[1], int(sys.argv[2])
g = ctranslate2.Generator(model, device="cpu", inter_threads=1, intra_threads=threads)
words = json.load(open(model + "/vocabulary.json"))
prompt = [words[i * 7919 % len(words)] for i in range(512)]
def seconds(p, n):
    def once():
        start = time.perf_counter()
        g.generate_batch([p], max_length=n, min_length=n, beam_size=1, sampling_topk=1, include_prompt_in_result=False, end_token=[])
        return time.perf_counter() - start
    once()
    return statistics.median(once() for _ in range(3))
print(json.dumps([512 / seconds(prompt, 1), 63 / (seconds(prompt[:8], 64) - seconds(prompt[:8], 1))]))
"""


def mezzo(program, model, threads):
    out = subprocess.run([program, "bench", model, "--threads", threads, "--json"], check=True, capture_output=True).stdout
    figures = json.loads(out)
    return figures["prompt_tokens_per_second"], figures["generated_tokens_per_second"]


def llama(program, model, threads):
    command = [program, "-m", model, "-t", threads, "-p", "512", "-n", "64", "-r", "3", "-o", "json"]
    rows = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return tuple(next(r["avg_ts"] for r in rows if r[kind] > 0) for kind in ("n_prompt", "n_gen"))


def ct2(model, threads):
    out = subprocess.run([sys.executable, "-c", CT2, model, threads], check=True, capture_output=True).stdout
    return tuple(json.loads(out.splitlines()[-1]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mezzo", default=str(HERE.parent / "build/mezzo"))
    parser.add_argument("--mezzo-models", required=True)
    parser.add_argument("--llama-bench")
    parser.add_argument("--gguf", default="")
    parser.add_argument("--ct2")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=5)
    o = parser.parse_args()
    tools = [(f"mezzo {pathlib.Path(m).name}", lambda t, m=m: mezzo(o.mezzo, m, t)) for m in o.mezzo_models.split(",")]
    if o.llama_bench:
        for m in o.gguf.split(","):
            tools.append((f"llama.cpp {pathlib.Path(m).stem}", lambda t, m=m: llama(o.llama_bench, m, t)))
    if o.ct2:
        tools.append((f"CTranslate2 {pathlib.Path(o.ct2).name}", lambda t: ct2(o.ct2, t)))
    print("| tool | threads | reads 512, tokens/s | makes 64, tokens/s |")
    print("|---|---|---|---|")
    for threads in o.threads.split(","):
        taken = {name: [] for name, _ in tools}
        for _ in range(o.rounds):
            for name, run in tools:
                taken[name].append(run(threads))
        for name, runs in taken.items():
            read, made = (statistics.median(r[i] for r in runs) for i in (0, 1))
            print(f"| {name} | {threads} | {read:.0f} | {made:.0f} |", flush=True)


if __name__ == "__main__":
    main()
