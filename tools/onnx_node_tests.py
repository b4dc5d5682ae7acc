"""Writes ONNX's backend node tests as folders that mezzo/runtime/onnx_backend_test.cc reads.

    python tools/onnx_node_tests.py OUT     then     MEZZO_ONNX_TESTS=OUT/node build/mezzo_tests

The onnx package ships their generator but its command writes only the model tests.
"""

import argparse
import os
import sys

from onnx.backend.test import cmd_tools
from onnx.backend.test.loader import load_node_model_tests


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    os.makedirs(sys.argv[1], exist_ok=True)
    cmd_tools.model_test.collect_testcases = load_node_model_tests
    cmd_tools.generate_data(argparse.Namespace(output=sys.argv[1]))


if __name__ == "__main__":
    main()
