"""A teacher from an ONNX file, so that networks of TensorFlow, Caffe and others teach too (ONNX Runtime computes)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dccdka.datasets import Dataset, Normalization
from dccdka.function_reference import in_one_line
from dccdka.teachers.teacher import FixedTeacher, TeacherError

_FLOAT = "tensor(float)"


class OnnxTeacher(FixedTeacher):
    """One input float32 [n, c, h, w], one output float32 [n, classes]: logits, or probabilities, whose logs are taken.

    mean, deviation: the network sees (pixel - mean) / deviation, per channel, pixels being 0 to 255; without them it
    sees what our own networks see (dccdka.datasets.Normalization). Raises TeacherError: the extra is not installed, or
    the file is no such network.
    """

    members = 1

    def __init__(
        self, path: Path | str, *, mean: Sequence[float] | None = None, deviation: Sequence[float] | None = None
    ) -> None:
        self.path = path = Path(path)
        if (mean is None) != (deviation is None):
            raise TeacherError(f"{path}: give both mean and deviation, or neither")
        if deviation is not None and not all(value > 0 for value in deviation):
            raise TeacherError(f"{path}: deviation must be above 0 in every channel, got {list(deviation)}")
        self._mean, self._deviation = _per_channel(mean), _per_channel(deviation)
        self._session = _opened(path)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            names = f"inputs {[tensor.name for tensor in inputs]}, outputs {[tensor.name for tensor in outputs]}"
            raise TeacherError(f"{path}: needs one input and one output, has {names}; export the classifier alone")
        self._input, self._output = inputs[0], outputs[0]
        # An axis that an ONNX file leaves open has a name, or none, instead of a size.
        first = self._input.shape[0] if self._input.shape else None
        self._batch = first if isinstance(first, int) else None

    def check(self, dataset: Dataset) -> None:
        image_shape = dataset.image_shape
        self._require("input", self._input, (None, *image_shape), "export it with channels first (NCHW)")
        self._require("output", self._output, (None, dataset.classes), "the teacher must know the data's classes")
        for name, values in (("mean", self._mean), ("deviation", self._deviation)):
            if values is not None and values.shape[1] not in (1, image_shape[0]):
                raise TeacherError(
                    f"{self.path}: {name}: needs one value, or one for each of {image_shape[0]} channels, has"
                    f" {values.shape[1]}"
                )
        answer = self.answer(torch.zeros(2, *image_shape), dataset.normalization)
        if list(answer.shape) != [1, 2, dataset.classes]:
            raise TeacherError(
                f"{self.path}: output {self._output.name!r} must be [n, {dataset.classes}], is {list(answer.shape[1:])}"
                " for n = 2"
            )

    def move_to(self, device: torch.device) -> None:
        """Nothing moves: ONNX Runtime computes on the CPU."""

    def answer(self, images: Tensor, normalization: Normalization) -> Tensor:
        values = images.cpu()
        if self._mean is not None and self._deviation is not None:
            pixels = values / normalization.scale + normalization.zero
            values = (pixels - self._mean) / self._deviation
        given = np.ascontiguousarray(values.numpy(), np.float32)
        return _as_logits(torch.from_numpy(self._run(given))).unsqueeze(0)

    def _run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        step = self._batch or len(images)
        parts: list[NDArray[np.float32]] = []
        for begin in range(0, len(images), step):
            part = images[begin : begin + step]
            # A file for a fixed batch takes no smaller one: the last is filled up.
            filled = np.concatenate([part, np.repeat(part[-1:], step - len(part), axis=0)])
            try:
                (output,) = self._session.run(None, {self._input.name: filled})
            except Exception as error:  # ONNX Runtime has many kinds of its own
                raise TeacherError(f"{self.path}: cannot be computed: {in_one_line(error)}") from error
            parts.append(output[: len(part)])
        return np.concatenate(parts)

    def _require(self, kind: str, tensor: Any, shape: tuple[int | None, ...], advice: str) -> None:
        given = list(tensor.shape)
        wanted = ["n" if size is None else size for size in shape]
        fits = len(given) == len(shape) and all(
            not isinstance(have, int) or want is None or have == want for have, want in zip(given, shape, strict=True)
        )
        if tensor.type != _FLOAT or not fits:
            raise TeacherError(
                f"{self.path}: {kind} {tensor.name!r} must be float32 {wanted}, is {tensor.type} {given}; {advice}"
            )


def _opened(path: Path) -> Any:
    try:
        import onnxruntime  # an optional extra
    except ImportError as error:
        raise TeacherError(
            f"{path}: reading ONNX needs ONNX Runtime: pip install 'dccdka-harness[onnx]' ({in_one_line(error)})"
        ) from error
    if not path.is_file():
        raise TeacherError(f"{path}: no such file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # what is fatal comes as an exception
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has many kinds of its own
        raise TeacherError(f"{path}: not an ONNX network that can be read: {in_one_line(error)}") from error


def _per_channel(values: Sequence[float] | None) -> Tensor | None:
    return None if values is None else torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1)


def _as_logits(output: Tensor) -> Tensor:
    """softmax(log p / T) softens probabilities p as softmax(z / T) softens the logits z that they came from."""
    probabilities = output.ndim == 2 and bool((output >= 0).all()) and bool(((output.sum(1) - 1).abs() < 1e-3).all())
    return output.clamp(min=torch.finfo(output.dtype).tiny).log() if probabilities else output
