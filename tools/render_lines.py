"""Writes pictures of lines of text and labels.csv (file,text): data for a text recogniser.

    python tools/render_lines.py FOLDER --count 210 --seed 1

Words, capitals and numbers in the fonts of Debian's fonts-dejavu-core, on plain coloured ground, a
little blurred, with sensor noise. The same seed and count give the same lines.
"""

import argparse
import csv
import os
import random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

FONT_FOLDER = "/usr/share/fonts/truetype/dejavu"
FONTS = ["DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSerif",
         "DejaVuSerif-Bold"]
WORDS = """account anchor apple april arrival bakery balance basket bicycle blanket border bottle bridge
butter button camera candle canvas carbon carpet castle ceiling century chapter chimney circle climate
coffee column copper corner cotton country courier cousin crystal customer cylinder daily delivery desert
dinner distance doctor double dragon driver early eastern editor eleven engine entrance evening factory
family father feather festival figure finger forest fortune freight friday friend garden ginger glacier
golden granite guitar hammer harbour harvest hospital hotel hundred island january jacket journey july
kettle kitchen ladder lamp language lantern leather lemon letter library lion market marble meadow member
middle minute mirror monday morning mountain museum music narrow needle north number ocean office orange
orchard oxygen paper parcel pepper photo piano pocket postage price printer quarter quiet railway receipt
recipe record river rocket saddle salmon school season second silver simple sixteen south spring square
station stone street summer sunday supper table tailor teacher temple theatre ticket timber total tower
traffic travel tunnel uncle valley velvet village violin voyage wagon water weather weekend window winter
wooden yellow zebra""".split()


def draw_text(rng: random.Random) -> str:
    words = " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 4)))
    text = rng.choice([str.lower, str.lower, str.title, str.upper])(words)
    return f"{text} {rng.randint(0, 99999)}" if rng.random() < 0.4 else text


def draw_line(rng: random.Random, noise: np.random.Generator, text: str) -> Image.Image:
    font = ImageFont.truetype(f"{FONT_FOLDER}/{rng.choice(FONTS)}.ttf", rng.randint(18, 28))
    left, top, right, bottom = font.getbbox(text)
    pad_x, pad_y = rng.randint(4, 10), rng.randint(2, 8)
    ground = tuple(rng.randint(150, 255) for _ in range(3))
    contrast = rng.randint(60, 160)
    ink = tuple(max(0, v - contrast) for v in ground)
    if rng.random() < 0.3:
        ground, ink = ink, ground
    image = Image.new("RGB", (right - left + 2 * pad_x, bottom - top + 2 * pad_y), ground)
    ImageDraw.Draw(image).text((pad_x - left, pad_y - top), text, font=font, fill=ink)
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1)))
    pixels = np.asarray(image, np.float32)
    pixels = pixels + 12 * noise.standard_normal(pixels.shape, np.float32)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--count", type=int, default=210)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng, noise = random.Random(options.seed), np.random.default_rng(options.seed)
    os.makedirs(options.folder, exist_ok=True)
    rows = []
    for i in range(options.count):
        text, name = draw_text(rng), f"{i:04}.png"
        draw_line(rng, noise, text).save(os.path.join(options.folder, name))
        rows.append((name, text))
    with open(os.path.join(options.folder, "labels.csv"), "w", newline="", encoding="utf-8") as f:
        csv.writer(f).writerows([("file", "text"), *rows])


if __name__ == "__main__":
    main()
