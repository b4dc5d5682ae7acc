"""Checks that no file of the tree names a package index's host or a path of one machine.

Looks at what git tracks or would track. The patterns are written so that they do not match
themselves.
"""

import pathlib
import re
import subprocess
import sys

FORBIDDEN = [
    (re.compile(r"py[p]i\.org|python[h]osted\.org|deb\.de[b]ian\.org|npm[j]s\.(?:org|com)|"
                r"crates\.i[o]\b|proxy\.golan[g]\.org"), "the host of a package index"),
    (re.compile(r"(?<![\w./-])/(?:wor[k]|hom[e]|roo[t])/\w"), "an absolute path of one machine"),
]
ROOT = pathlib.Path(__file__).resolve().parent.parent


def main() -> None:
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            cwd=ROOT, check=True, capture_output=True).stdout
    faults, count = [], 0
    for name in filter(None, listed.decode().split("\0")):
        path = ROOT / name
        if name.startswith("tests/corpus/") or not path.is_file():
            continue
        count += 1
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n"), 1):
            faults += [f"{name}:{number}: {what}: {match[0]}" for pattern, what in FORBIDDEN
                       if (match := pattern.search(line))]
    print("\n".join(faults) if faults else f"{count} files name no hosts and no machine's paths")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
