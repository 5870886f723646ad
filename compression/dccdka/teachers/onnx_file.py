"""A teacher from an ONNX file, so that networks of TensorFlow, Caffe and others teach too (ONNX Runtime computes)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dccdka.batches import normalize
from dccdka.datasets import Dataset, Normalization
from dccdka.function_reference import in_one_line
from dccdka.teachers.teacher import FixedTeacher, TeacherError

OnnxOutput = Literal["logits", "probabilities"]

_FLOAT, _BYTE = "tensor(float)", "tensor(uint8)"
# So many images show whether a network gives probabilities.
_SAMPLE = 64


class OnnxTeacher(FixedTeacher):
    """One input [n, c, h, w] or [n, h, w, c], float32 or uint8, one output float32 [n, classes] or [n, classes, 1, 1].

    mean, deviation: a float32 input sees (pixel - mean) / deviation, per channel, pixels being 0 to 255; without them
    it sees what our own networks see (dccdka.datasets.Normalization). A uint8 input sees the pixels. output: "logits",
    or "probabilities", whose logs are taken; None looks at what it says of the first training images. Raises
    TeacherError: the extra is not installed, or the file is no such network.
    """

    members = 1

    def __init__(
        self,
        path: Path | str,
        *,
        mean: Sequence[float] | None = None,
        deviation: Sequence[float] | None = None,
        output: OnnxOutput | None = None,
    ) -> None:
        self.path = path = Path(path)
        if output is not None and output not in get_args(OnnxOutput):
            raise TeacherError(f"{path}: output: must be one of {', '.join(get_args(OnnxOutput))}, got {output!r}")
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
        if mean is not None and self._input.type == _BYTE:
            raise TeacherError(f"{path}: input {self._input.name!r} takes pixels: leave out mean and deviation")
        self._asked = self._kind = output
        # An axis that an ONNX file leaves open has a name, or none, instead of a size.
        first = self._input.shape[0] if self._input.shape else None
        self._batch = first if isinstance(first, int) else None

    def check(self, dataset: Dataset) -> None:
        image_shape = dataset.image_shape
        self._require_input(image_shape)
        self._require_output(dataset.classes)
        for name, values in (("mean", self._mean), ("deviation", self._deviation)):
            if values is not None and values.shape[1] not in (1, image_shape[0]):
                raise TeacherError(
                    f"{self.path}: {name}: needs one value, or one for each of {image_shape[0]} channels, has"
                    f" {values.shape[1]}"
                )
        pixels = torch.from_numpy(dataset.train.images[:_SAMPLE]).permute(0, 2, 3, 1)
        said = self._say(normalize(pixels, dataset.normalization), dataset.normalization)
        if list(said.shape) != [len(pixels), dataset.classes]:
            raise TeacherError(
                f"{self.path}: output {self._output.name!r} must be [n, {dataset.classes}], is {list(said.shape)}"
                f" for n = {len(pixels)}"
            )
        if self._asked == "probabilities" and bool((said < 0).any()):
            raise TeacherError(
                f"{self.path}: output {self._output.name!r} is said to be probabilities, but is {said.min():g} for some"
                ' image; use "logits"'
            )
        self._kind = self._asked or _kind_of(said)

    def move_to(self, device: torch.device) -> None:
        """Nothing moves: ONNX Runtime computes on the CPU."""

    def answer(self, images: Tensor, normalization: Normalization) -> Tensor:
        said = self._say(images, normalization)
        # Without a check the first images decide, once: what it says of some few may look like either.
        self._kind = self._kind or _kind_of(said)
        return (_logs(said) if self._kind == "probabilities" else said).unsqueeze(0)

    def _say(self, images: Tensor, normalization: Normalization) -> Tensor:
        """The network's output for normalised images [n, c, h, w], without axes of one number behind the classes."""
        values = images.cpu()
        if self._input.type == _BYTE:
            values = (values / normalization.scale + normalization.zero).round().clamp(0, 255)
        elif self._mean is not None and self._deviation is not None:
            pixels = values / normalization.scale + normalization.zero
            values = (pixels - self._mean) / self._deviation
        if not self._is_channels_first(tuple(images.shape[1:])):
            values = values.permute(0, 2, 3, 1)
        given = np.ascontiguousarray(values.numpy(), np.uint8 if self._input.type == _BYTE else np.float32)
        said = torch.from_numpy(self._run(given))
        return said.flatten(1) if said.ndim == 4 and said.shape[2:] == (1, 1) else said

    def _run(self, images: NDArray[Any]) -> NDArray[np.float32]:
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

    def _is_channels_first(self, image_shape: tuple[int, ...]) -> bool:
        """False for channels last, where only that fits; what fits neither is refused by `check`."""
        channels, height, width = image_shape
        given = self._input.shape
        first = _fits(given, (None, channels, height, width))
        return first or not _fits(given, (None, height, width, channels))

    def _require_input(self, image_shape: tuple[int, int, int]) -> None:
        channels, height, width = image_shape
        given = self._input.shape
        shapes = [["n", channels, height, width], ["n", height, width, channels]]
        if self._input.type not in (_FLOAT, _BYTE) or not any(_fits(given, (None, *shape[1:])) for shape in shapes):
            raise TeacherError(
                f"{self.path}: input {self._input.name!r} must be float32 or uint8, {shapes[0]} or {shapes[1]}, is"
                f" {self._input.type} {given}; export it for the images of the data"
            )

    def _require_output(self, classes: int) -> None:
        given = self._output.shape
        fits = _fits(given, (None, classes)) or _fits(given, (None, classes, 1, 1))
        if self._output.type != _FLOAT or not fits:
            raise TeacherError(
                f"{self.path}: output {self._output.name!r} must be float32 {['n', classes]}, is"
                f" {self._output.type} {given}; the teacher must know the data's classes"
            )


def _fits(given: Sequence[object], wanted: Sequence[object]) -> bool:
    """Whether a shape of an ONNX file is the one wanted, where neither leaves an axis open."""
    return len(given) == len(wanted) and all(
        not isinstance(have, int) or want is None or have == want for have, want in zip(given, wanted, strict=True)
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


def _kind_of(said: Tensor) -> OnnxOutput:
    """Probabilities [n, classes] are shares that sum to one; those of a quantised softmax up to a step for each."""
    if said.ndim != 2:
        return "logits"
    off = (said.sum(1) - 1).abs()
    in_steps = any(bool(((said * steps).frac().abs() % 1 - 0.5).abs().min() > 0.499) for steps in (256, 255))
    allowed = said.shape[1] / 255 if in_steps else 1e-3
    shares = bool(((said >= 0) & (said <= 1 + 1e-3)).all())
    return "probabilities" if shares and bool((off <= allowed).all()) else "logits"


def _logs(probabilities: Tensor) -> Tensor:
    """softmax(log p / T) softens probabilities p as softmax(z / T) softens the logits z that they came from.

    So it does where p sums to something else than one.
    """
    return probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny).log()
