"""Whether an ONNX model computes what the artifact computes: as a whole, and each operator by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx.utils import Extractor

from dccdka.export.errors import ExportError
from dccdka.export.onnx_model import INPUT, codes_name, operator_name
from dccdka.export.onnx_residuals import with_separate_adds
from dccdka.lowering.graph import inputs_of
from dccdka.packing.artifact import Artifact
from dccdka.packing.narrowing import Images
from dccdka.packing.reference import run_reference
from dccdka.packing.reference_kernels import prepare

MOST_STEPS = 1  # that an operator by itself may be off
_BATCH_BYTES = 1 << 22  # of a batch's tensors, as the device has them


@dataclass(frozen=True)
class Agreement:
    """Of ONNX Runtime and the reference interpreter.

    steps: largest difference of a value, in the device's int8 steps; differing: how many of the values differ at all.
    """

    name: str
    steps: int
    differing: int
    values: int


@dataclass(frozen=True)
class NetworkAgreement:
    """outputs: of the whole network; predictions: share of the images whose largest output is the same one."""

    outputs: Agreement
    predictions: float
    images: int


def network_agreement(
    model: onnx.ModelProto, artifact: Artifact, inputs: Images, *, optimize: bool = True
) -> NetworkAgreement:
    """On inputs int8 [n, h, w, c].

    optimize: let ONNX Runtime compute in integers where it can, as it does by itself.
    """
    computed, expected = run_onnx(model, artifact, inputs, optimize=optimize), run_reference(artifact, inputs)
    first, second = (outputs.reshape(len(inputs), -1).argmax(axis=1) for outputs in (computed, expected))
    return NetworkAgreement(_compared("network", computed, expected), float((first == second).mean()), len(inputs))


def operator_agreements(
    model: onnx.ModelProto, artifact: Artifact, inputs: Images, *, optimize: bool = True
) -> tuple[Agreement, ...]:
    """Each operator by itself, adds apart from convolutions, cut out of the model and fed what it reads on the device.

    So nothing that one operator does differently is hidden, or spread, by those behind it. inputs: int8 [n, h, w, c];
    optimize: as above.
    """
    artifact = with_separate_adds(artifact)
    sessions = _operators_alone(model, artifact, optimize)
    kernels = [prepare(artifact, operator) for operator in artifact.operators]
    found: list[list[Agreement]] = [[] for _ in kernels]
    for images in _batches(artifact, inputs):
        values = {artifact.input: images}
        for index, operator in enumerate(artifact.operators):
            expected = kernels[index](values)
            given = [_codes(values[tensor]) for tensor in dict.fromkeys(inputs_of(operator))]
            (codes,) = sessions[index].run(None, dict(zip(_input_names(sessions[index]), given, strict=True)))
            computed = codes.transpose(0, 2, 3, 1).astype(np.int16) - 128
            found[index].append(_compared(operator_name(index, operator), computed, expected))
            values[operator.output] = expected
    return tuple(_joined(parts) for parts in found)


def require_agreement(operators: Iterable[Agreement]) -> None:
    """Raises ExportError naming the operator that is most off, if that is more than MOST_STEPS."""
    worst = max(operators, key=lambda operator: operator.steps)
    if worst.steps > MOST_STEPS:
        raise ExportError(
            f"operator {worst.name}: ONNX Runtime {onnxruntime.__version__} computes {worst.differing} of its "
            f"{worst.values} values otherwise than the device, by up to {worst.steps} of 256 steps; export C instead"
        )


def run_onnx(model: onnx.ModelProto, artifact: Artifact, inputs: Images, *, optimize: bool = True) -> NDArray[np.int16]:
    """The outputs in the device's steps [n, h, w, c]; inputs int8 [n, h, w, c]."""
    session = _session(model, optimize)
    height, width, channels = artifact.output_shape
    outputs = []
    for images in _batches(artifact, inputs):
        real = (images.astype(np.float32) - artifact.input_zero_point) * np.float32(artifact.input_scale)
        (output,) = session.run(None, {INPUT: np.ascontiguousarray(real.transpose(0, 3, 1, 2))})
        steps = output.reshape(len(images), channels, height, width).transpose(0, 2, 3, 1) / artifact.output_scale
        outputs.append((np.rint(steps) + artifact.output_zero_point).astype(np.int16))
    return np.concatenate(outputs)


def _operators_alone(model: onnx.ModelProto, artifact: Artifact, optimize: bool) -> list[onnxruntime.InferenceSession]:
    """Of uint8 to uint8, by operator."""
    cut = Extractor(onnx.shape_inference.infer_shapes(model))
    names = {artifact.input: codes_name(INPUT)}
    sessions = []
    for index, operator in enumerate(artifact.operators):
        output = codes_name(operator_name(index, operator))
        given = [names[tensor] for tensor in dict.fromkeys(inputs_of(operator))]
        sessions.append(_session(cut.extract_model(given, [output]), optimize))
        names[operator.output] = output
    return sessions


def _session(model: onnx.ModelProto, optimize: bool) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # what is fatal comes as an exception
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimize else levels.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _batches(artifact: Artifact, inputs: Images) -> Iterator[Images]:
    """As many images at a time as keep all tensors of the network in a moderate amount of memory."""
    size = max(1, _BATCH_BYTES // sum(tensor.region.bytes for tensor in artifact.tensors))
    return (inputs[begin : begin + size] for begin in range(0, len(inputs), size))


def _input_names(session: onnxruntime.InferenceSession) -> list[str]:
    return [value.name for value in session.get_inputs()]


def _codes(images: Images) -> NDArray[np.uint8]:
    """As ONNX has them: uint8 [n, c, h, w], int8 + 128."""
    return np.ascontiguousarray((images.view(np.uint8) ^ np.uint8(0x80)).transpose(0, 3, 1, 2))


def _compared(name: str, computed: NDArray[np.int16], expected: Images) -> Agreement:
    difference = np.abs(computed - expected)
    return Agreement(name, int(difference.max()), int(np.count_nonzero(difference)), difference.size)


def _joined(parts: list[Agreement]) -> Agreement:
    return Agreement(
        parts[0].name,
        max(part.steps for part in parts),
        sum(part.differing for part in parts),
        sum(part.values for part in parts),
    )
