"""Writes tokenizers with every option that is supported, and what the packages `tokenizers` and
`sentencepiece` make of hostile texts with them, for mezzo/import/tokenizer/oracle_test.cc.

    python tools/tokenizer_cases.py OUT     then     MEZZO_TOKENIZER_TESTS=OUT build/mezzo_tests

OUT/NAME/tokenizer.json or tokenizer.model, and
OUT/NAME/cases.json: [[text, ids, ids with special tokens, decoded], ...].
"""

import io
import itertools
import json
import pathlib
import random
import re
import sys
import unicodedata

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, models, trainers
from tokenizers import decoders as d
from tokenizers import normalizers as n
from tokenizers import pre_tokenizers as p
from tokenizers import processors

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORDS = ("'s 't 'RE 'Ve 'll 'D 'ſ 'K Don't it's I'M 12345 ٣٤٥ ½ Ⅷ 𒐀 中文字 日本語 ひらがな 한국어 עברית العربية हिन्दी ไทย é é ﬁ ẞ İ K "
         "Å 🎉 👨‍👩‍👧‍👦 🇩🇪 ... --- ??!?! _x_ a_b foo foo.bar() {x:1} </s> <s> <s [INST] ﷺ Ⓐ x K").split()
SPACES = " \t\n\r\v\f\x1c\x1f\x85\xa0\u1680\u180e\u2000\u200b\u2028\u202f\u3000\ufeff"
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
          r"\s+(?!\S)|\s+")
ODD = r"^[ab]|\d$|.\z|[\S]x|(?<=x)y|(?<!q)u(?=e)|\D\w\W|\p{Han}"
BYTES = [f"<0x{b:02X}>" for b in range(256)]
ADDED = [AddedToken("<s>", special=True, normalized=False), AddedToken("<s", normalized=False),
         AddedToken("[INST]", lstrip=True, normalized=False), AddedToken("</s>", rstrip=True, normalized=False),
         AddedToken("foo", single_word=True, normalized=False), AddedToken("K"), AddedToken("  ", normalized=False),
         AddedToken("it", single_word=True, lstrip=True, rstrip=True), AddedToken("é"),
         AddedToken("...", lstrip=True, rstrip=True)]


def tokenizers(corpus: list[str]):
    def make(normalizer, words, decoder, special=(), added=(), post=None, **model):
        t = Tokenizer(models.BPE(**model))
        if normalizer:
            t.normalizer = normalizer
        by_bytes = isinstance(decoder, d.ByteLevel)
        if words:  # byte-level ones are trained on whole lines, so that it shows in the ids where words end
            t.pre_tokenizer = to_bytes if by_bytes else words
        if decoder:
            t.decoder = decoder
        alphabet = p.ByteLevel.alphabet() if by_bytes else []
        t.train_from_iterator(corpus, trainers.BpeTrainer(
            vocab_size=500 + len(special), special_tokens=list(special), initial_alphabet=alphabet, show_progress=False))
        if by_bytes:
            t.pre_tokenizer = words
        t.add_tokens(list(added))
        if post:
            t.post_processor = post
        return t

    def plain(**options):
        return p.ByteLevel(**{"add_prefix_space": False, **options})

    def isolated(pattern):
        return p.Split(Regex(pattern), "isolated")

    to_bytes = plain(use_regex=False)
    yield "gpt2", make(None, p.ByteLevel(add_prefix_space=True), d.ByteLevel(), added=ADDED)
    yield "smollm", make(None, p.Sequence([p.Digits(True), plain()]), d.ByteLevel())
    yield "llama3", make(None, p.Sequence([isolated(LLAMA3), to_bytes]), d.ByteLevel(), ignore_merges=True)
    yield "gpt4o", make(n.NFC(), p.Sequence([isolated(GPT4O), isolated(ODD), to_bytes]), d.ByteLevel())
    yield "no_words", make(n.Sequence([n.NFD(), n.Lowercase()]), to_bytes, d.ByteLevel(), added=ADDED)
    for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        for invert in (False, True):
            splits = [p.Split(Regex(r"\s*|\w+"), behavior, invert), p.Split(" ", behavior, invert), p.Digits(False),
                      to_bytes]
            yield f"{behavior}_{invert}", make(n.NFKC() if invert else n.NFKD(), p.Sequence(splits), d.ByteLevel())
    yield "spaces_first", make(None, p.Metaspace(prepend_scheme="first"), d.Metaspace(prepend_scheme="first"), ["<unk>"],
                               ADDED, unk_token="<unk>")
    yield "spaces_always", make(None, p.Metaspace(split=False), d.Metaspace(), ["<unk>"], ADDED, unk_token="<unk>",
                                fuse_unk=True)
    yield "spaces_never", make(n.Lowercase(), p.Metaspace(prepend_scheme="never"), d.Metaspace(prepend_scheme="never"))
    pieces = d.Sequence([d.Replace("▁", " "), d.ByteFallback(), d.Fuse(), d.Strip(" ", 1, 0)])
    yield "llama", make(n.Sequence([n.Prepend("▁"), n.Replace(" ", "▁")]), None, pieces, ["<unk>", "<s>", "</s>", *BYTES],
                        post=processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A $B",
                                                           special_tokens=[("<s>", 1), ("</s>", 2)]),
                        unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    yield "half_the_bytes", make(n.Replace(Regex(r"\s+|e"), "▁"), None, pieces, ["<unk>", *BYTES[:0xA0]], ADDED,
                                 unk_token="<unk>", byte_fallback=True)
    yield "no_decoder", make(None, p.Digits(False), None, ["<unk>"], unk_token="<unk>")


def sentencepieces(corpus: list[str]):
    def train(**options):
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(**{
            "sentence_iterator": iter(corpus), "model_writer": model, "vocab_size": 700, "hard_vocab_limit": False,
            "character_coverage": 0.99, "minloglevel": 2, **options})
        return model.getvalue()

    plain = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
    kept = {"user_defined_symbols": ["foo", "fo", " it", "K", "ﷺ", "...", "\u0301", "日本"]}
    yield "sp_nmt_nfkc", train()
    yield "sp_identity", train(**plain)
    yield "sp_identity_bytes", train(**plain, byte_fallback=True)
    yield "sp_nfkc_cf_bytes_kept", train(normalization_rule_name="nmt_nfkc_cf", byte_fallback=True, **kept)
    yield "sp_kept_no_prefix", train(**plain, **kept, add_dummy_prefix=False, unk_id=3, bos_id=0, eos_id=1, pad_id=2)
    yield "sp_across_spaces", train(normalization_rule_name="nfkc", remove_extra_whitespaces=False, split_by_whitespace=False,
                                    bos_id=-1)
    yield "sp_no_prefix_trimmed", train(normalization_rule_name="identity", add_dummy_prefix=False,
                                        allow_whitespace_only_pieces=True)


def charsmap(model: bytes) -> bytes:
    """The field precompiled_charsmap (2) of normalizer_spec (3)."""
    def fields(message):
        def varint():
            nonlocal at
            value = shift = 0
            while True:
                byte = message[at]
                at += 1
                value |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    return value
        at = 0
        while at < len(message):
            tag = varint()
            size = {0: 0, 1: 8, 2: 0, 5: 4}[tag & 7]
            if tag & 7 in (0, 2):
                number = varint()
                size = number if tag & 7 == 2 else 0
            yield tag >> 3, message[at:at + size]
            at += size
    return dict(fields(dict(fields(model))[3]))[2]


def unigrams(corpus: list[str], maps: dict[str, bytes]):
    def make(normalizer, words, decoder, special=("<unk>",), added=(), byte_fallback=False):
        t = Tokenizer(models.Unigram())
        if normalizer:
            t.normalizer = normalizer
        t.pre_tokenizer = words
        t.decoder = decoder
        t.train_from_iterator(corpus, trainers.UnigramTrainer(
            vocab_size=700, special_tokens=list(special), unk_token="<unk>", show_progress=False))
        if byte_fallback:
            model = json.loads(t.to_str())["model"]
            t.model = models.Unigram([tuple(v) for v in model["vocab"]], model["unk_id"], True)
        t.add_tokens(list(added))
        return t

    spaces, first = p.Metaspace(), p.Metaspace(prepend_scheme="first", split=False)
    pieces = d.Sequence([d.ByteFallback(), d.Metaspace()])
    trimmed = n.Sequence([n.Precompiled(maps["nfkc"]), n.Strip(left=False, right=True), n.Replace(Regex(" {2,}"), "▁")])
    yield "unigram", make(None, spaces, d.Metaspace())
    yield "unigram_bytes", make(None, first, pieces, ["<unk>", *BYTES], ADDED, True)
    yield "unigram_half_the_bytes", make(n.Strip(left=False), first, pieces, ["<pad>", "<unk>", *BYTES[:0xA0]],
                                           ADDED, True)
    yield "unigram_t5", make(n.Precompiled(maps["nmt_nfkc"]), p.Sequence([p.WhitespaceSplit(), spaces]), d.Metaspace())
    yield "unigram_xlmr", make(trimmed, spaces, d.Metaspace(), ["<cls>", "<pad>", "<unk>"], ADDED)
    yield "unigram_cf", make(n.Precompiled(maps["nfkc_cf"]), first, d.Metaspace())


def texts(seed: int, count: int):
    r = random.Random(seed)
    marks = [chr(c) for c in range(0x110000) if unicodedata.category(chr(c))[0] == "M"]

    def any_character():
        low, high = r.choice([(0x20, 0x7F), (0x80, 0x800), (0x800, 0xD800), (0xE000, 0x20000), (0x20000, 0x110000)])
        c = r.randrange(low, high)
        # Capital letters newer than Unicode 15 are a difference that is documented.
        return "x" if c in (0x1C89, *range(0xA7CB, 0xA7DD), *range(0x10D50, 0x10D66), *range(0x16EA0, 0x16EB9)) else chr(c)

    def part():
        kind = r.randrange(8)
        if kind == 0:
            return "".join(any_character() for _ in range(r.randrange(1, 8)))
        if kind == 1:
            return "".join(r.choice(SPACES) for _ in range(r.randrange(1, 6)))
        if kind == 2:
            return r.choice(" \n\t") * r.randrange(1, 60)
        if kind == 3:
            return any_character() + "".join(r.choice(marks) for _ in range(r.randrange(1, 5)))
        if kind == 4:
            return chr(r.randrange(0x21, 0x7F)) * r.randrange(1, 30)
        return r.choice(WORDS) + r.choice(["", " ", "  "])

    yield ""
    yield from ("a" * 20000, " " * 20000, "é" * 10000 + " " * 9, "中" * 9000, " a" * 9000, "\u0301" * 999, "0x00y000z" * 5000)
    for _ in range(count):
        yield "".join(part() for _ in range(r.randrange(1, 12)))


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    documents = sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/**/*.md"))
    corpus = [line for path in documents for line in path.read_text(encoding="utf-8").split("\n")] + WORDS * 5
    models_by_name = dict(sentencepieces(corpus))
    maps = {"nmt_nfkc": charsmap(models_by_name["sp_nmt_nfkc"]), "nfkc": charsmap(models_by_name["sp_across_spaces"]),
            "nfkc_cf": charsmap(models_by_name["sp_nfkc_cf_bytes_kept"])}

    def write(name, file, content, answer, change=str):
        folder = pathlib.Path(sys.argv[1]) / name
        folder.mkdir(parents=True)
        (folder / file).write_bytes(content)
        cases = [[text, *answer(text)] for text in map(change, texts(name, 300))]
        (folder / "cases.json").write_text(json.dumps(cases, ensure_ascii=False), encoding="utf-8")

    for name, tokenizer in itertools.chain(tokenizers(corpus), unigrams(corpus, maps)):
        content = tokenizer.to_str()

        def answer(text, tokenizer=Tokenizer.from_str(content)):
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            return ids, tokenizer.encode(text).ids, tokenizer.decode(ids)
        write(name, "tokenizer.json", content.encode(), answer)
    for name, model in models_by_name.items():
        pieces = sentencepiece.SentencePieceProcessor(model_proto=model)

        def answer(text, pieces=pieces):
            ids = pieces.encode(text)
            prefix = [pieces.bos_id()] if pieces.bos_id() >= 0 else []
            # Unknown tokens leave no trace with us, " ⁇ " with the package.
            return ids, prefix + ids, pieces.decode([i for i in ids if i != pieces.unk_id()])
        # Control tokens that a text spells out are tokens with us, text with the package.
        write(name, "tokenizer.model", model, answer, lambda text: re.sub("<+(?=/?s>)", "", text))


if __name__ == "__main__":
    main()
