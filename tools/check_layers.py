"""Checks that the folders of mezzo/ are layers and that files stay readable.

- An #include "mezzo/LAYER/..." points to the same layer or to one that stands earlier in LAYERS.
- The generated ONNX schema is included by one file.
- A file over 400 lines says why at its head (a comment of at least 3 lines); none is over 800.
"""

import pathlib
import re
import sys

LAYERS = ["base", "format", "tensor", "solver", "kernels", "checkpoint", "graph", "import", "runtime",
          "calibrate", "algorithm", "evaluate", "report", "cli"]
INCLUDE = re.compile(r'^\s*#\s*include\s*"mezzo/([^"/]+)/[^"]*"', re.M)
SCHEMA = re.compile(r'^\s*#\s*include\s*[<"]onnx[^">]*\.pb\.h[>"]', re.M)
ROOT = pathlib.Path(__file__).resolve().parent.parent


def line_of(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def check_includes(name: str, text: str) -> list[str]:
    layer = name.split("/")[1]
    if layer not in LAYERS:
        return [f"{name}: '{layer}' is no layer; known are {', '.join(LAYERS)}"]
    faults = []
    for match in INCLUDE.finditer(text):
        where, target = f"{name}:{line_of(text, match.start())}", match[1]
        if target not in LAYERS:
            faults.append(f"{where}: includes '{target}', which is no layer")
        elif LAYERS.index(target) > LAYERS.index(layer):
            faults.append(f"{where}: {layer} must not include {target}, a layer above it")
    return faults


def check_size(name: str, text: str) -> list[str]:
    lines = text.splitlines()
    head = next((i for i, line in enumerate(lines) if not line.startswith("//")), len(lines))
    if len(lines) > 800:
        return [f"{name}: {len(lines)} lines, 800 are the limit"]
    if len(lines) > 400 and head < 3:
        return [f"{name}: {len(lines)} lines; over 400 its head must explain why"]
    return []


def main() -> None:
    faults, schema_users = [], []
    files = sorted(p for ext in ("*.cc", "*.h") for p in (ROOT / "mezzo").rglob(ext))
    for path in files:
        name, text = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
        faults += check_includes(name, text) + check_size(name, text)
        if SCHEMA.search(text):
            schema_users.append(name)
    if len(schema_users) != 1:
        faults.append(f"the generated ONNX schema is included by {schema_users or 'no file'}, needs one")
    print("\n".join(faults) if faults else f"{len(files)} files keep to the layers")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
