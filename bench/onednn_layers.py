"""GOP/s of mezzo's INT8 convolutions and of oneDNN's, layer class by layer class, on one thread.

    python bench/onednn_layers.py PREFIX [--build build] [--rounds 200]

PREFIX holds oneDNN as include/ and lib/: a virtual environment with the packages onednn-cpu-gomp and
onednn-devel-cpu-gomp, or with onednn and onednn-devel. Compiles onednn_layers.cc with g++ and mezzo's library of `build`.
The best of many runs in turn, channels last, u8 by s8 to u8 with a scale per channel.
"""

import argparse
import os
import pathlib
import subprocess
import tempfile

HERE = pathlib.Path(__file__).parent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prefix", type=pathlib.Path)
    parser.add_argument("--build", type=pathlib.Path, default=HERE.parent / "build")
    parser.add_argument("--rounds", type=int, default=200)
    args = parser.parse_args()
    lib = args.prefix / "lib"
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / "onednn_layers"
        subprocess.run(
            ["g++", "-std=c++20", "-O2", f"-I{HERE.parent}", f"-I{args.prefix / 'include'}", HERE / "onednn_layers.cc"]
            + [args.build / "libmezzo.a", f"-L{lib}", "-ldnnl", "-lpthread", f"-Wl,-rpath,{lib.resolve()}"]
            + ["-Wl,--allow-shlib-undefined", "-o", program],
            check=True,
        )
        one = {"OMP_NUM_THREADS": "1", "TBB_NUM_THREADS": "1", "LD_LIBRARY_PATH": str(lib.resolve())}
        subprocess.run([program, str(args.rounds)], env=os.environ | one, check=True)


if __name__ == "__main__":
    main()
