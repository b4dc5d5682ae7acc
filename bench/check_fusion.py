"""Says whether ONNX Runtime and OpenVINO run a QDQ file in integers.

    python bench/check_fusion.py FILE.onnx [--level all|extended] [--float NODE,...] [--no-openvino] [--json]

Loads the file in ONNX Runtime, writes the graph it made of it, and lists every Conv, ConvTranspose, MatMul and Gemm that
was quantized in the file (both operands come from a DequantizeLinear) but runs in float there. Exit status 1 if there are
any, or if an engine refuses the file. Nodes named by --float may stay float. OpenVINO is asked too if it is installed;
what it runs in float is listed only: on AVX2 it has no integer product of two activations.
"""

import argparse
import collections
import json
import pathlib
import sys
import tempfile

import onnx
import onnxruntime as ort

PRODUCTS = {"Conv", "ConvTranspose", "MatMul", "Gemm", "FusedConv", "FusedMatMul", "FusedGemm", "NhwcFusedConv"}
INTEGER = {
    "QLinearConv", "QLinearMatMul", "QGemm", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "ConvInteger",
    "MatMulInteger", "QAttention",
}  # fmt: skip
LEVELS = {
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
}
MOVES = {"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Slice", "Identity", "Flatten", "Split", "Concat"}


def all_nodes(graph):
    """The nodes of a graph and of the graphs in it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from all_nodes(attribute.g)


def comes_from_dq(name, makers):
    """Whether a value is a DequantizeLinear's, perhaps moved about since."""
    while name in makers and makers[name].op_type in MOVES:
        name = makers[name].input[0]
    return name in makers and makers[name].op_type == "DequantizeLinear"


def quantized_products(model):
    """The products whose both operands come from DequantizeLinear."""
    nodes = list(all_nodes(model.graph))
    makers = {output: node for node in nodes for output in node.output}
    products = [n for n in nodes if n.op_type in PRODUCTS]
    return [n for n in products if all(comes_from_dq(i, makers) for i in n.input[:2])]


def optimize(path, level):
    """The graph ONNX Runtime makes of a file. Throws what it throws."""
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.graph_optimization_level = LEVELS[level]
        options.optimized_model_filepath = str(pathlib.Path(folder) / "optimized.onnx")
        options.log_severity_level = 3
        ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


def check_onnxruntime(path, level="all", may_be_float=()):
    """What became of the quantized products: counts of operators and the names of those that run in float."""
    model = onnx.load(path)
    asked = quantized_products(model)
    try:
        optimized = optimize(path, level)
    except Exception as error:  # its exceptions have no common base
        return {"loads": False, "error": str(error), "quantized": len(asked), "not_fused": []}
    # Fusions merge and rename nodes, so what is left is judged by its operands; a name that is kept counts too.
    left = {n.name or n.output[0]: n.op_type for n in quantized_products(optimized)}
    names = {n.name for n in asked if n.name}
    nodes = list(all_nodes(optimized.graph))
    left |= {n.name: n.op_type for n in nodes if n.op_type in PRODUCTS and n.name in names}
    counts = collections.Counter(n.op_type for n in nodes)
    return {
        "loads": True,
        "quantized": len(asked),
        "integer": sum(counts[op] for op in INTEGER),
        "not_fused": [f"{name} ({op})" for name, op in left.items() if name not in may_be_float],
        "operators": dict(counts.most_common()),
    }


def info(node, key):
    value = node.get_rt_info()[key]
    return value.value if hasattr(value, "value") else str(value)


def check_openvino(path):
    """What OpenVINO runs its products in; None if it is not installed."""
    try:
        import openvino
    except ImportError:
        return None
    try:
        core = openvino.Core()
        compiled = core.compile_model(core.read_model(path), "CPU")
    except Exception as error:  # its exceptions have no common base
        return {"loads": False, "error": str(error), "not_fused": []}
    # Their implementation says in which type they compute: jit_avx2_I8, brgconv_avx2_f32.
    products = [n for n in compiled.get_runtime_model().get_ordered_ops()
                if info(n, "layerType") in ("Convolution", "FullyConnected", "MatMul", "Deconvolution")]  # fmt: skip
    in_float = [n for n in products if not info(n, "primitiveType").upper().endswith("I8")]
    return {
        "loads": True,
        "integer": len(products) - len(in_float),
        "float": [f"{n.get_friendly_name()} ({info(n, 'primitiveType')})" for n in in_float],
    }


def show(name, result):
    if not result["loads"]:
        print(f"{name}: does not load: {result['error']}")
        return
    if "quantized" in result:
        print(f"{name}: {result['quantized']} products are quantized, {result['integer']} run in integers")
        print("  " + ", ".join(f"{op} {n}" for op, n in result["operators"].items()))
    else:
        print(f"{name}: {result['integer']} products run in integers, {len(result['float'])} in float")
    for node in result.get("not_fused", []) + result.get("float", []):
        print(f"  in float: {node}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--level", choices=LEVELS, default="all")
    parser.add_argument("--float", default="", help="nodes that may stay float, with commas between")
    parser.add_argument("--no-openvino", action="store_true", help="it refuses some float networks, too")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    may_be_float = set(filter(None, options.float.split(",")))
    results = {f"ONNX Runtime {ort.__version__}": check_onnxruntime(options.model, options.level, may_be_float)}
    peer = None if options.no_openvino else check_openvino(options.model)
    if peer:
        results["OpenVINO"] = peer
    if options.json:
        print(json.dumps(results, indent=1))
    else:
        for name, result in results.items():
            show(name, result)
    sys.exit(any(not r["loads"] or r.get("not_fused") for r in results.values()))


if __name__ == "__main__":
    main()
