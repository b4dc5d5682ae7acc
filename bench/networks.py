"""The networks of bench/int8_networks.py: how their samples are read and their outputs are judged.

This is a second implementation beside the program's own, in Pillow and numpy: that both agree is part of the test.
"""

import csv
import dataclasses
import pathlib
from typing import Callable

import numpy as np
import onnx
from PIL import Image

BORDER = 4  # of super-resolved pictures, as the literature leaves out
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406])
IMAGENET_STD = np.array([0.229, 0.224, 0.225])


@dataclasses.dataclass
class Sample:
    inputs: dict  # arrays by input name, as the network takes them
    label: object = None


@dataclasses.dataclass
class Network:
    """What a benchmark needs to know of a network; its files are in a folder of its name."""

    name: str
    preprocess: str  # the program's preset; empty where samples are arrays
    read_picture: Callable | None
    task: str  # the program's name of the metric
    metric: str  # what the figure is
    measure: Callable  # (outputs, labels, model) -> figure, higher is better
    predict: Callable  # (outputs, model) -> array of what a user would see
    output: int = 0  # which output is judged
    calibration: int = 128  # samples peers calibrate on
    transformer: bool = False
    same: float = 0  # predictions differing by no more agree


def planes(picture):
    """Values in double as (1, C, H, W) floats. Rounded only here: an ulp decides on codes at the input's midpoints."""
    return np.ascontiguousarray(np.asarray(picture, np.float32).transpose(2, 0, 1)[None])


def shorter_side(picture, size, crop, resample):
    w, h = picture.size
    size = (size, round(size * h / w)) if w < h else (round(size * w / h), size)
    if picture.size != size:
        picture = picture.resize(size, resample)
    left, top = (picture.width - crop) // 2, (picture.height - crop) // 2
    return picture.crop((left, top, left + crop, top + crop))


def read_imagenet(picture):
    picture = shorter_side(picture, 256, 224, Image.BILINEAR)
    return planes((np.asarray(picture) * (1 / 255) - IMAGENET_MEAN) / IMAGENET_STD)


def read_imagenet_lite(picture):
    return planes((np.asarray(shorter_side(picture, 256, 224, Image.BICUBIC), np.float64) - 127) / 128)


def read_cifar10(picture):
    return planes((np.asarray(picture) * (1 / 255) - IMAGENET_MEAN) / IMAGENET_STD)


def read_line(picture):
    width = max(16, round(picture.width * 48 / picture.height))
    picture = np.asarray(picture.resize((width, 48), Image.BILINEAR))[:, :, ::-1]
    return planes((picture * (1 / 255) - 0.5) / 0.5)


def read_samples(folder, network, count=None):
    """The samples of a folder in order of their names, at most `count` (pairs count as two)."""
    for i, sample in enumerate(all_samples(folder, network)):
        if i == count:
            return
        yield sample


def all_samples(folder, network):
    if network.read_picture:
        input_name = onnx.load(folder.parent / "model.onnx", load_external_data=False).graph.input[0].name
        with open(folder / "labels.csv", newline="", encoding="utf-8") as f:
            for name, label in list(csv.reader(f))[1:]:
                picture = Image.open(folder / name).convert("RGB")
                yield Sample({input_name: network.read_picture(picture)}, label)
        return
    for path in sorted(folder.glob("*.npz")):
        yield from npz_samples(dict(np.load(path)))


def npz_samples(arrays):
    """A sample a row; arrays without axes or with a leading 1 more than rows belong to every sample."""
    labels = arrays.pop("labels", None)
    rows = arrays["input"].shape[0] if "input" in arrays else arrays["input_ids"].shape[0]
    for i in range(rows):
        inputs = {name: a if a.ndim == 0 or rows == 1 else a[i : i + 1] for name, a in arrays.items()}
        yield Sample(inputs, None if labels is None else labels[i * len(labels) // rows])


def top1(outputs, labels, model):
    return float(np.mean(predict_class(outputs, model) == np.array(labels, int)))


def predict_class(outputs, model):
    return np.array([o.argmax() for o in outputs])


def predict_lines(outputs, model):
    """CTC text of every line, without spaces."""
    properties = {p.key: p.value for p in onnx.load(model).metadata_props}
    characters = [""] + properties["character"].split("\n")
    lines = []
    for o in outputs:
        codes = o[0].argmax(1)
        kept = [c for i, c in enumerate(codes) if c and (i == 0 or c != codes[i - 1])]
        lines.append("".join(characters[c] if c < len(characters) else " " for c in kept).replace(" ", ""))
    return np.array(lines)


def line_accuracy(outputs, labels, model):
    return float(np.mean(predict_lines(outputs, model) == np.array([t.replace(" ", "") for t in labels])))


def predict_cosines(outputs, model):
    """The cosine of every pair of sentences."""
    pairs = np.stack([o[0] for o in outputs]).reshape(len(outputs) // 2, 2, -1).astype(np.float64)
    pairs /= np.linalg.norm(pairs, axis=2, keepdims=True)
    return (pairs[:, 0] * pairs[:, 1]).sum(1)


def ranks(x):
    """From 0; equal numbers share the mean of their ranks."""
    values, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[inverse]


def spearman(outputs, labels, model):
    return float(np.corrcoef(ranks(predict_cosines(outputs, model)), ranks(labels[::2]))[0, 1])


def eight_bits(x):
    return np.rint(np.clip(x, 0, 1) * 255)


def psnr(outputs, labels, model):
    """Mean over pictures, as 8-bit pictures without a border of BORDER pixels."""
    inside = (..., slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    errors = [np.mean((eight_bits(o[0]) - eight_bits(t))[inside] ** 2) for o, t in zip(outputs, labels)]
    return float(np.mean(10 * np.log10(255**2 / np.array(errors))))


def predict_pixels(outputs, model):
    return np.concatenate([eight_bits(o).ravel() for o in outputs])


def predict_speech(outputs, model):
    return np.array([o.item() > 0.5 for o in outputs])


def no_labels(outputs, labels, model):
    return float("nan")


def sqnr(outputs, reference):
    """Signal to noise against the float network's outputs, in dB."""
    signal = sum(float(np.sum(np.square(r, dtype=np.float64))) for r in reference)
    noise = sum(float(np.sum(np.square(o.astype(np.float64) - r))) for o, r in zip(outputs, reference))
    return float(10 * np.log10(signal / noise)) if noise else 200.0


def agreement(network, a, b):
    """The share of equal predictions."""
    same = np.abs(a - b) <= network.same if network.same else a == b
    return float(np.mean(same))


TOP1 = ("classify", "top-1", top1, predict_class)
NETWORKS = [
    Network("lite0", "imagenet-lite", read_imagenet_lite, *TOP1, calibration=64),
    Network("squeezenet", "imagenet", read_imagenet, *TOP1, calibration=64),
    Network("resnet20", "cifar10", read_cifar10, *TOP1, calibration=200),
    Network("kws", "", None, *TOP1, calibration=200),
    Network("espcn", "", None, "psnr", "PSNR dB", psnr, predict_pixels, calibration=50, same=1),
    Network("ocr", "ocr", read_line, "ctc", "lines", line_accuracy, predict_lines, calibration=60),
    Network(
        "minilm", "", None, "similarity", "Spearman", spearman, predict_cosines,
        output=3, calibration=120, transformer=True, same=0.01,
    ),
    Network("silero", "", None, "sqnr", "SQNR dB", no_labels, predict_speech, calibration=200),
]  # fmt: skip


def output_name(model, index):
    return onnx.load(model, load_external_data=False).graph.output[index].name


def network_named(name):
    for network in NETWORKS:
        if network.name == name:
            return network
    raise SystemExit(f"unknown network '{name}', known are {', '.join(n.name for n in NETWORKS)}")
