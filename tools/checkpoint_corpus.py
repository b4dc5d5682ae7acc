"""Writes the seeds of the checkpoint readers: what the Python packages write, and one file a refusal.

    python -m pip install gguf==0.19.0 safetensors==0.8.0 ml_dtypes==0.6.0 numpy==2.4.6
    python tools/checkpoint_corpus.py tests/corpus

In ok_types and ok_blocks the tensor NAME.float holds, as float32, what the packages read from the
random bytes of NAME. The tests also demand that Mezzo writes ok_types, ok_blocks and ok_values byte
for byte.
"""

import json
import pathlib
import struct
import sys
import tempfile

import gguf
import ml_dtypes
import numpy as np
import safetensors.numpy

RNG = np.random.default_rng(1)
Type = gguf.GGUFValueType


def save(folder: pathlib.Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("ok_*"), *folder.glob("bad_*")):
        old.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)


# --- safetensors ---

def header_and(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def f4(begin: int, end: int, shape: list | None = None, dtype: str = "F32") -> dict:
    return {"dtype": dtype, "shape": shape or [(end - begin) // 4], "data_offsets": [begin, end]}


def safetensors_types() -> bytes:
    """All element types; every code of the 8-bit ones, random bits of the others."""
    names = {"F16": np.float16, "BF16": ml_dtypes.bfloat16, "F8_E4M3": ml_dtypes.float8_e4m3fn,
             "F8_E5M2": ml_dtypes.float8_e5m2, "I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8,
             "U64": np.uint64, "U32": np.uint32, "U16": np.uint16, "U8": np.uint8, "BOOL": np.bool_}
    arrays = {}
    for name, dtype in names.items():
        size = np.dtype(dtype).itemsize
        data = bytes(range(256)) if size == 1 else RNG.bytes(64 * size)
        if name == "BOOL":
            data = bytes([0, 1] * 32)
        arrays[name] = np.frombuffer(data, dtype).reshape(-1, 32)
    arrays["F64"] = RNG.normal(size=(2, 32)) * 10.0 ** RNG.integers(-40, 35, size=(2, 32))
    arrays["scalar"], arrays["empty"] = np.array(1.5, np.float32), np.zeros((0, 3), np.int32)
    with np.errstate(over="ignore", invalid="ignore"):
        arrays |= {f"{n}.float": a.astype(np.float32) for n, a in arrays.items()}
    return safetensors.numpy.save(arrays, {"format": "np"})


def safetensors_files() -> dict[str, bytes]:
    one, data = f4(0, 8), bytes(8)
    return {
        "ok_types": safetensors_types(),
        "ok_none": header_and({}),
        "ok_padded": header_and(json.dumps({"a": one}).encode() + b"   ", data),
        "bad_short": b"\x02\0\0",
        "bad_header_size": struct.pack("<Q", 3) + b"{}",
        "bad_header_huge": struct.pack("<Q", 1 << 63) + b"{}",
        "bad_header_limit": struct.pack("<Q", 100_000_001) + b"{}",
        "bad_first_byte": header_and(b" {}"),
        "bad_json": header_and(b'{"a":'),
        "bad_utf8": header_and(b'{"\xff":1}'),
        "bad_trailing": header_and(b'{}{}'),
        "bad_depth": header_and(b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}"),
        "bad_twice": header_and(b'{"a":%b,"a":%b}' % ((json.dumps(one).encode(),) * 2), data),
        "bad_field_twice": header_and(b'{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', data),
        "bad_entry": header_and({"a": 7}),
        "bad_extra_field": header_and({"a": one | {"more": 1}}, data),
        "bad_missing_field": header_and({"a": {"dtype": "F32", "shape": [2]}}, data),
        "bad_dtype": header_and({"a": f4(0, 8, dtype="Q4_0")}, data),
        "bad_shape_type": header_and({"a": f4(0, 8, shape=[2.0])}, data),
        "bad_shape_negative": header_and({"a": f4(0, 8, shape=[-2])}, data),
        "bad_shape_overflow": header_and({"a": f4(0, 8, shape=[1 << 62, 2])}, data),
        "bad_shape_hidden_overflow": header_and({"a": f4(0, 0, shape=[0, 1 << 62, 4])}),
        "bad_size": header_and({"a": f4(0, 8, shape=[3])}, data),
        "bad_offsets": header_and({"a": one | {"data_offsets": [8, 0]}}, data),
        "bad_offsets_count": header_and({"a": one | {"data_offsets": [0, 8, 8]}}, data),
        "bad_hole": header_and({"a": f4(0, 4), "b": f4(8, 12)}, bytes(12)),
        "bad_overlap": header_and({"a": f4(0, 8), "b": f4(4, 12)}, bytes(12)),
        "bad_start": header_and({"a": f4(4, 12)}, bytes(12)),
        "bad_truncated": header_and({"a": one}, data[:7]),
        "bad_longer": header_and({"a": one}, data + b"\0"),
        "bad_metadata": header_and({"__metadata__": {"a": 1}}),
        "bad_metadata_list": header_and({"__metadata__": []}),
    }


# --- GGUF ---

def write_gguf(fill) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "file.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        fill(writer)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes()


def gguf_blocks(writer: gguf.GGUFWriter, values: int = 512) -> None:
    """Random bytes as every type. Scales are any binary16: subnormal, infinite, NaN."""
    names = "F32 F16 BF16 F64 I64 I32 I16 I8 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q4_K Q5_K Q6_K IQ4_NL".split()
    plain = {"F64": np.float64, "I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8}
    for name in names:
        quant = gguf.GGMLQuantizationType[name]
        elements, size = gguf.GGML_QUANT_SIZES[quant]
        count = values if elements > 1 else 64
        data = np.frombuffer(RNG.bytes(count // elements * size), np.uint8)
        with np.errstate(all="ignore"):
            if name in plain:
                values_read = data.view(plain[name]).astype(np.float32)
            else:
                values_read = gguf.quants.dequantize(data.view(np.float32) if name == "F32" else data, quant)
        writer.add_tensor(name, data.reshape(2, -1), raw_dtype=quant)
        writer.add_tensor(f"{name}.float", values_read.reshape(2, -1).astype(np.float32))


def gguf_values(writer: gguf.GGUFWriter) -> None:
    scalars = [200, -100, 60000, -30000, 4_000_000_000, -2_000_000_000, 1.5, True, "text: \u00e4", None,
               1 << 63, -(1 << 62), 1e300]
    for t in Type:
        if t != Type.ARRAY:
            value = scalars[t.value]
            writer.add_key_value(f"scalar.{t.value}", value, t)
            writer.add_key_value(f"array.{t.value}", [value, value, value], Type.ARRAY, sub_type=t)
    writer.add_custom_alignment(64)
    writer.add_tensor("a", np.arange(6, dtype=np.float32).reshape(2, 3))
    writer.add_tensor("b", np.arange(4, dtype=np.float16))


def text(s: str) -> bytes:
    return struct.pack("<Q", len(s)) + s.encode()


def tensor(name: str = "a", dims: tuple = (2,), kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


def pair(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def by_hand(pairs: list = [], tensors: list = [], data: int = 8, version: int = 3, counts: tuple | None = None) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", version, *(counts or (len(tensors), len(pairs)))) + b"".join(pairs + tensors)
    return head + bytes(-len(head) % 32 + data)


def gguf_files() -> dict[str, bytes]:
    values = write_gguf(gguf_values)
    huge = (1 << 64) - 1
    return {
        "ok_blocks": write_gguf(gguf_blocks),
        "ok_values": values,
        "ok_v2": values[:4] + struct.pack("<I", 2) + values[8:],
        "ok_none": by_hand(data=0),
        "ok_unpadded_end": by_hand(tensors=[tensor()]),
        "ok_scalar": by_hand(tensors=[tensor(dims=())]),
        "ok_empty": by_hand(tensors=[tensor(dims=(0, 3))], data=0),
        "bad_magic": b"GGML" + values[4:],
        "bad_version": by_hand(version=1),
        "bad_big_endian": by_hand(version=3 << 24),
        "bad_short": b"GGUF\3\0",
        "bad_truncated_values": values[:300],
        "bad_truncated_data": values[:-100],
        "bad_entry_count": by_hand(counts=(0, huge)),
        "bad_tensor_count": by_hand(counts=(huge, 0)),
        "bad_text_length": by_hand([struct.pack("<Q", huge)]),
        "bad_value_type": by_hand([pair("a", 13, bytes(8))]),
        "bad_array_type": by_hand([pair("a", 9, struct.pack("<IQ", 99, 0))]),
        "bad_array_count": by_hand([pair("a", 9, struct.pack("<IQ", 8, huge))]),
        "bad_array_of_arrays": by_hand([pair("a", 9, struct.pack("<IQIQ", 9, 1, 0, 0))]),
        "bad_bool": by_hand([pair("a", 7, b"\2")]),
        "bad_key_twice": by_hand([pair("a", 0, b"\1")] * 2),
        "bad_alignment": by_hand([pair("general.alignment", 4, struct.pack("<I", 48))], [tensor()]),
        "bad_alignment_small": by_hand([pair("general.alignment", 4, struct.pack("<I", 4))], [tensor()]),
        "bad_alignment_zero": by_hand([pair("general.alignment", 4, bytes(4))], [tensor()]),
        "bad_alignment_type": by_hand([pair("general.alignment", 10, struct.pack("<Q", 32))], [tensor()]),
        "bad_tensor_twice": by_hand(tensors=[tensor(), tensor(offset=32)], data=64),
        "bad_rank": by_hand(tensors=[tensor(dims=(1,) * 5)]),
        "bad_dimension": by_hand(tensors=[tensor(dims=(1 << 63,))]),
        "bad_shape_overflow": by_hand(tensors=[tensor(dims=(1 << 62, 1 << 62))]),
        "bad_tensor_type": by_hand(tensors=[tensor(kind=10)]),
        "bad_tensor_type_huge": by_hand(tensors=[tensor(kind=0xffffffff)]),
        "bad_part_of_block": by_hand(tensors=[tensor(dims=(16, 2), kind=2)], data=64),
        "bad_scalar_block": by_hand(tensors=[tensor(dims=(), kind=2)], data=64),
        "bad_offset": by_hand(tensors=[tensor(), tensor("b", offset=64)], data=128),
        "bad_overlap": by_hand(tensors=[tensor(), tensor("b", offset=0)], data=64),
        "bad_unaligned": by_hand(tensors=[tensor(), tensor("b", offset=8)], data=64),
        "bad_end": by_hand(tensors=[tensor()], data=7),
    }


# --- llama2.c ---

def llama2c(sizes: tuple, version: int = 0, shared: bool = True, floats: int | None = None) -> bytes:
    """The values are 0, 1, 2... in the file's order."""
    dim, hidden, layers, heads, kv_heads, vocab, seq = sizes
    kv = dim // heads * kv_heads
    count = vocab * dim * (1 if shared else 2) + dim + layers * (2 * dim + 2 * dim * (dim + kv) + 3 * dim * hidden)
    if version == 0:
        count += seq * (dim // heads)
        head = struct.pack("<7i", *sizes[:5], vocab if shared else -vocab, seq)
    else:
        head = struct.pack("<Ii7iB", 0x616b3432, version, *sizes, shared).ljust(256, b"\0")
    return head + np.arange(count if floats is None else floats, dtype=np.float32).tobytes()


def llama2c_files() -> dict[str, bytes]:
    sizes = (8, 3, 2, 2, 1, 5, 4)
    return {
        "ok_v0": llama2c(sizes),
        "ok_v0_classifier": llama2c(sizes, shared=False),
        "ok_v1": llama2c(sizes, 1),
        "ok_v1_classifier": llama2c(sizes, 1, shared=False),
        "bad_short": bytes(27),
        "bad_v1_short": llama2c(sizes, 1)[:100],
        "bad_v2": llama2c(sizes, 2),
        "bad_truncated": llama2c(sizes)[:-4],
        "bad_longer": llama2c(sizes, 1) + b"\0",
        "bad_zero": llama2c((8, 0, 2, 2, 1, 5, 4)),
        "bad_negative": llama2c((-8, 3, 2, 2, 1, 5, 4), floats=8),
        "bad_heads": llama2c((9, 3, 2, 2, 1, 5, 4)),
        "bad_kv_heads": llama2c((12, 3, 2, 3, 2, 5, 4)),
        "bad_overflow": llama2c((2**31 - 2, 2**31 - 1, 2**31 - 1, 1, 1, 2**31 - 1, 2**31 - 1), floats=8),
    }


def tokenizer(tokens: list[tuple[float, bytes]], longest: int) -> bytes:
    return struct.pack("<i", longest) + b"".join(struct.pack("<fi", s, len(t)) + t for s, t in tokens)


def tokenizer_files() -> dict[str, bytes]:
    whole = tokenizer([(0.0, b"<unk>"), (float("nan"), b""), (-1.5, "\u00e4".encode()), (0.5, b"\0\xff")], 5)
    return {
        "ok_tokens": whole,
        "ok_none": whole[:4],
        "bad_short": b"\1\0",
        "bad_truncated_text": whole[:-1],
        "bad_truncated_token": whole[:-3],
        "bad_longer_than_longest": tokenizer([(0.0, b"abc")], 2),
        "bad_negative_length": struct.pack("<ifi", 5, 0.0, -1),
        "bad_length": struct.pack("<ifi", 2**31 - 1, 0.0, 2**31 - 1),
    }


def main() -> None:
    root = pathlib.Path(sys.argv[1])
    save(root / "safetensors", safetensors_files())
    save(root / "gguf", gguf_files())
    save(root / "llama2c", llama2c_files())
    save(root / "llama2c_tokenizer", tokenizer_files())


if __name__ == "__main__":
    main()
