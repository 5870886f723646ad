"""The reference interpreter: computes what an artifact means, and so defines what every runtime must give."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dccdka.datasets import Split
from dccdka.packing.artifact import Artifact
from dccdka.packing.narrowing import Images
from dccdka.packing.reference_kernels import patch_bytes, prepare
from dccdka.packing.reference_windows import PATCH_BYTES


def to_device_input(images: NDArray[np.uint8]) -> Images:
    """uint8 pixels [n, c, h, w] to the int8 that devices take [n, h, w, c]: pixel - 128."""
    return (np.ascontiguousarray(images.transpose(0, 2, 3, 1)) ^ np.uint8(0x80)).view(np.int8)


def run_reference(artifact: Artifact, inputs: Images) -> Images:
    """Outputs int8 [n, h, w, c] of inputs int8 [n, h, w, c]. Raises ValueError if the inputs have another shape."""
    if inputs.shape[1:] != artifact.input_shape or inputs.dtype != np.int8:
        raise ValueError(
            f"inputs are {inputs.dtype} {inputs.shape[1:]}, the artifact takes int8 {artifact.input_shape} (h, w, c)"
        )
    kernels = [prepare(artifact, operator) for operator in artifact.operators]
    batch = max(1, PATCH_BYTES // max(patch_bytes(artifact, operator) for operator in artifact.operators))
    outputs = np.empty((len(inputs), *artifact.output_shape), np.int8)
    for begin in range(0, len(inputs), batch):
        values = {artifact.input: inputs[begin : begin + batch]}
        for operator, kernel in zip(artifact.operators, kernels, strict=True):
            values[operator.output] = kernel(values)
        outputs[begin : begin + batch] = values[artifact.output]
    return outputs


def accuracy(artifact: Artifact, split: Split) -> float:
    """Share of the split's images whose largest output is at the label; of equal outputs the first counts."""
    outputs = run_reference(artifact, to_device_input(split.images)).reshape(len(split.images), -1)
    return float((outputs.argmax(axis=1) == split.labels).mean())
