"""Other tools' INT8 quantization, one tool a process, so that time and peak memory are the tool's own.

    python bench/peers.py quantize TOOL NETWORK FOLDER OUT     prints {"seconds": ..., "file": ...}
    python bench/peers.py run ENGINE NETWORK FOLDER FILE OUT   writes the judged outputs on FOLDER/evaluation

FOLDER is the network's of prepare_int8_data.py. TOOL: float, ort-minmax, ort-minmax-s8, ort-entropy, ort-percentile,
nncf. ENGINE: onnxruntime, onnxruntime-exact (with session.x64quantprecision, which keeps CPUs without VNNI from
saturating), openvino.
"""

import argparse
import json
import pathlib
import pickle
import shutil
import tempfile
import time

import networks
import onnx
import onnx.version_converter
import onnxruntime as ort

LOWEST_OPSET = 13  # per-channel DequantizeLinear; quantize_static writes files nobody loads below it
CONVERTED_OPSET = 17
ORT_TOOLS = {  # calibration method, activation type
    "ort-minmax": ("MinMax", "QUInt8"),
    "ort-minmax-s8": ("MinMax", "QInt8"),
    "ort-entropy": ("Entropy", "QUInt8"),
    "ort-percentile": ("Percentile", "QUInt8"),
}


def calibration_inputs(network, folder):
    for sample in networks.read_samples(folder / "development", network, network.calibration):
        yield sample.inputs


class Reader:
    """Calibration samples, one by one, as ONNX Runtime wants them."""

    def __init__(self, inputs):
        self.inputs = iter(inputs)

    def get_next(self):
        return next(self.inputs, None)


def converted(model_path, out):
    """A copy of the model with an opset the tool writes loadable files for."""
    model = onnx.load(model_path)
    if next(o.version for o in model.opset_import if o.domain == "") < LOWEST_OPSET:
        model = onnx.version_converter.convert_version(model, CONVERTED_OPSET)
    onnx.save(model, out)


def preprocess(source, target):
    from onnxruntime.quantization.shape_inference import quant_pre_process

    try:
        quant_pre_process(str(source), str(target))
    except Exception:  # symbolic shapes are beyond it on some networks; it has a switch for that
        quant_pre_process(str(source), str(target), skip_symbolic_shape=True)


def quantize_ort(tool, network, folder, out):
    from onnxruntime import quantization as q

    method, activations = ORT_TOOLS[tool]
    reader = type("SampleReader", (Reader, q.CalibrationDataReader), {})
    with tempfile.TemporaryDirectory() as temporary:
        model = pathlib.Path(temporary) / "converted.onnx"
        prepared = pathlib.Path(temporary) / "prepared.onnx"
        converted(folder / "model.onnx", model)
        preprocess(model, prepared)
        q.quantize_static(
            str(prepared),
            str(out),
            reader(calibration_inputs(network, folder)),
            quant_format=q.QuantFormat.QDQ,
            per_channel=True,
            activation_type=q.QuantType[activations],
            weight_type=q.QuantType.QInt8,
            calibrate_method=q.CalibrationMethod[method],
        )
    return out


def quantize_nncf(network, folder, out):
    import nncf
    import openvino

    inputs = list(calibration_inputs(network, folder))
    options = {"model_type": nncf.ModelType.TRANSFORMER} if network.transformer else {}
    model = openvino.Core().read_model(folder / "model.onnx")
    model = nncf.quantize(model, nncf.Dataset(inputs), subset_size=len(inputs), **options)
    openvino.save_model(model, out.with_suffix(".xml"), compress_to_fp16=False)
    return out.with_suffix(".xml")


def quantize(tool, network, folder, out):
    if tool == "float":
        shutil.copy(folder / "model.onnx", out)
        return out
    return quantize_nncf(network, folder, out) if tool == "nncf" else quantize_ort(tool, network, folder, out)


def onnxruntime_runner(file, exact):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if exact:
        options.add_session_config_entry("session.x64quantprecision", "1")
    session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda inputs, output: session.run([session.get_outputs()[output].name], inputs)[0]


def openvino_runner(file):
    import openvino

    # The default precision hint may round to bfloat16 where the CPU has it.
    compiled = openvino.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda inputs, output: compiled(inputs)[compiled.output(output)].copy()


def run(engine, network, folder, file, out):
    """Pickles the judged output and the label of every sample."""
    runner = openvino_runner(file) if engine == "openvino" else onnxruntime_runner(file, engine.endswith("-exact"))
    samples = networks.read_samples(folder / "evaluation", network)
    results = [(runner(sample.inputs, network.output), sample.label) for sample in samples]
    out.write_bytes(pickle.dumps(results))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["quantize", "run"])
    parser.add_argument("tool")
    parser.add_argument("network", type=networks.network_named)
    parser.add_argument("paths", type=pathlib.Path, nargs="+")
    options = parser.parse_args()
    start = time.monotonic()
    if options.action == "run":
        run(options.tool, options.network, *options.paths)
        return
    file = quantize(options.tool, options.network, *options.paths)
    print(json.dumps({"seconds": time.monotonic() - start, "file": str(file)}))


if __name__ == "__main__":
    main()
