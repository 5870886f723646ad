"""Whether an ONNX model computes what the artifact computes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from dccdka.packing.artifact import Artifact
from dccdka.packing.narrowing import Images
from dccdka.packing.reference import run_reference


@dataclass(frozen=True)
class Agreement:
    """steps: largest difference of an output, in the device's int8 steps; differing: share of the outputs that do."""

    steps: int
    differing: float
    outputs: int


def agreement(model: onnx.ModelProto, artifact: Artifact, inputs: Images, *, optimize: bool = True) -> Agreement:
    """Of ONNX Runtime and the reference interpreter on inputs int8 [n, h, w, c].

    optimize: let ONNX Runtime compute in integers where it can, as it does by itself.
    """
    computed = run_onnx(model, artifact, inputs, optimize=optimize)
    difference = np.abs(computed.astype(np.int64) - run_reference(artifact, inputs))
    return Agreement(int(difference.max()), float((difference > 0).mean()), difference.size)


def run_onnx(model: onnx.ModelProto, artifact: Artifact, inputs: Images, *, optimize: bool = True) -> NDArray[np.int16]:
    """The outputs in the device's steps [n, h, w, c]; inputs int8 [n, h, w, c]."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # what is fatal comes as an exception
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimize else levels.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    real = (inputs.astype(np.float32) - artifact.input_zero_point) * np.float32(artifact.input_scale)
    (output,) = session.run(None, {"input": np.ascontiguousarray(real.transpose(0, 3, 1, 2))})
    height, width, channels = artifact.output_shape
    steps = output.reshape(len(inputs), channels, height, width).transpose(0, 2, 3, 1) / artifact.output_scale
    result: NDArray[np.int16] = (np.rint(steps) + artifact.output_zero_point).astype(np.int16)
    return result
