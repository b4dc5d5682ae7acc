"""ResNet-50 v1.5 with random weights, for timing: MODEL.onnx and SAMPLES.npz with a few random inputs to calibrate with.

    python bench/resnet50.py OUT

He et al. 2015 (arXiv 1512.03385) with the stride of a block in its 3 x 3 convolution; batch normalization is folded. 25.5 M
weights, 4.09 G multiply-adds a picture. The batch size is symbolic.
"""

import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Builder:
    def __init__(self):
        self.nodes, self.weights, self.random = [], [], np.random.default_rng(0)

    def add(self, op, inputs, **attributes):
        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        return name

    def constant(self, name, array):
        self.weights.append(numpy_helper.from_array(array.astype(np.float32), name))
        return name

    def conv(self, x, channels, out, kernel, stride=1, gain=2.0, relu=True):
        index = len(self.nodes)
        deviation = (gain / (channels * kernel * kernel)) ** 0.5
        w = self.constant(f"w{index}", self.random.normal(0, deviation, (out, channels, kernel, kernel)))
        b = self.constant(f"b{index}", self.random.normal(0, 0.1, out))
        y = self.add("Conv", [x, w, b], kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[kernel // 2] * 4)
        return self.add("Relu", [y]) if relu else y

    def bottleneck(self, x, channels, width, stride):
        y = self.conv(x, channels, width, 1)
        y = self.conv(y, width, width, 3, stride)
        y = self.conv(y, width, 4 * width, 1, gain=0.5, relu=False)
        if channels != 4 * width or stride != 1:
            x = self.conv(x, channels, 4 * width, 1, stride, gain=1.0, relu=False)
        return self.add("Relu", [self.add("Add", [y, x])])


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    b = Builder()
    x = b.conv("input", 3, 64, 7, 2)
    x = b.add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            width = 64 << stage
            x = b.bottleneck(x, channels, width, 2 if stage > 0 and block == 0 else 1)
            channels = 4 * width
    x = b.add("Flatten", [b.add("GlobalAveragePool", [x])])
    w = b.constant("classifier.weight", b.random.normal(0, channels**-0.5, (1000, channels)))
    y = b.add("Gemm", [x, w, b.constant("classifier.bias", np.zeros(1000))], transB=1)
    graph = helper.make_graph(
        b.nodes,
        "resnet50",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 224, 224])],
        [helper.make_tensor_value_info(y, TensorProto.FLOAT, ["batch", 1000])],
        b.weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, out / "model.onnx")
    np.savez(out / "samples.npz", input=b.random.normal(0, 1, (8, 3, 224, 224)).astype(np.float32))


if __name__ == "__main__":
    main()
