"""What an operator must fulfil so that the runtime may trust it; agents/runtime/src/check*.c make the same checks."""

from __future__ import annotations

from dccdka.lowering.graph import Add, Concatenate, Multiply, Operator, Pad, Residual, Window, inputs_of
from dccdka.packing.artifact import ArtifactError, ArtifactStatus, PlacedTensor, Region
from dccdka.packing.layout import ALIGNMENT, MAX_PADDING_BEHIND, MAX_SHIFT, MAX_SIZE


def require(holds: bool, status: ArtifactStatus, message: str) -> None:
    """Raise ArtifactError unless it holds."""
    if not holds:
        raise ArtifactError(status, message)


def check_shift(name: str, shift: int) -> None:
    require(shift <= MAX_SHIFT, ArtifactStatus.REQUANTISATION, f"{name}: a shift is not 0 to 31")


def check_multipliers(name: str, *multipliers: int) -> None:
    fit = all(-(1 << 15) <= multiplier < 1 << 15 for multiplier in multipliers)
    require(fit, ArtifactStatus.REQUANTISATION, f"{name}: a multiplier has more than 16 bits")


def check_clamp(name: str, low: int, high: int) -> None:
    require(low <= high, ArtifactStatus.REQUANTISATION, f"{name}: clamps to [{low}, {high}]")


def check_geometry(name: str, window: Window, image: PlacedTensor, output: PlacedTensor, groups: int) -> None:
    """Shapes of a convolution; image is its input as it reads it."""
    require(
        image.channels <= MAX_SIZE and _window_fits(window, image, output),
        ArtifactStatus.SHAPE,
        f"{name}: input, window and output do not belong together",
    )
    require(
        groups > 0 and image.channels % groups == 0 and output.channels % groups == 0,
        ArtifactStatus.SHAPE,
        f"{name}: {groups} groups do not divide its channels",
    )


def check_residual(name: str, residual: Residual) -> None:
    """Its numbers; its shape and place are checked with the convolution's."""
    check_multipliers(name, residual.multiplier, residual.residual_multiplier)
    check_shift(name, residual.shift)
    check_clamp(name, residual.low, residual.high)


def check_places(
    name: str,
    arena_bytes: int,
    scratch: Region,
    x: PlacedTensor,
    y: PlacedTensor,
    residual: PlacedTensor | None,
    *,
    over_input: bool,
) -> None:
    """Where a convolution's tensors and scratch lie; the output may lie exactly on the residual.

    over_input: whether the output may lie on the input as it does.
    """
    S = ArtifactStatus.ARENA_RANGE
    inside = scratch.offset % ALIGNMENT == 0 and scratch.offset + scratch.bytes <= arena_bytes
    require(inside, S, f"{name}: scratch of {scratch.bytes} bytes at {scratch.offset} is not inside the arena")
    if not over_input:
        _check_apart(name, x, y)
    tensors = [x, y]
    if residual is not None:
        _check_in_place(name, (residual,), y)
        tensors.append(residual)
    apart = not any(scratch.overlaps(tensor.region) for tensor in tensors)
    require(apart, S, f"{name}: its scratch lies on a tensor that it works with")


def check_pair(
    name: str, operator: Add | Multiply | Concatenate, x: PlacedTensor, x2: PlacedTensor, y: PlacedTensor
) -> None:
    """Operators of two inputs: shapes that fit; the output lies exactly on an input of its shape or apart from it."""
    if isinstance(operator, Concatenate):
        fits = x.shape[:2] == x2.shape[:2] == y.shape[:2] and x.channels + x2.channels == y.channels
    else:
        broadcast = isinstance(operator, Multiply) and x2.shape == (1, 1, y.channels)
        fits = x.shape == y.shape and (x2.shape == y.shape or broadcast)
    require(fits, ArtifactStatus.SHAPE, f"{name}: the shapes of its inputs and output do not belong together")
    if isinstance(operator, Multiply):
        check_multipliers(name, operator.multiplier)
    else:
        check_multipliers(name, operator.multiplier, operator.second_multiplier)
        check_shift(name, operator.shift)
    _check_in_place(name, (x, x2), y)


def check_elementwise(name: str, x: PlacedTensor, y: PlacedTensor) -> None:
    """ReLU, lookup and softmax."""
    require(x.shape == y.shape, ArtifactStatus.SHAPE, f"{name}: shapes differ")
    _check_in_place(name, (x,), y)


def check_pool(name: str, window: Window, image: PlacedTensor, output: PlacedTensor, multiplier: int = 0) -> None:
    """multiplier: of an average pool."""
    require(
        _window_fits(window, image, output) and image.channels == output.channels and window.dilation == (1, 1),
        ArtifactStatus.SHAPE,
        f"{name}: input, window and output do not belong together",
    )
    behind = window.padding_behind(image, output)
    require(
        all(p < k and b < k for p, b, k in zip(window.padding, behind, window.kernel, strict=True)),
        ArtifactStatus.SHAPE,
        f"{name}: a window lies outside the image",
    )
    check_multipliers(name, multiplier)
    _check_apart(name, image, output)


def check_pad(name: str, pad: Pad, x: PlacedTensor, y: PlacedTensor) -> None:
    inside = pad.top + x.height <= y.height and pad.left + x.width <= y.width
    require(
        x.channels == y.channels and inside, ArtifactStatus.SHAPE, f"{name}: the padded image does not hold its input"
    )
    _check_apart(name, x, y)


def check_argmax(name: str, x: PlacedTensor, y: PlacedTensor) -> None:
    require(
        y.shape == (x.height, x.width, 1) and x.channels <= 256,
        ArtifactStatus.SHAPE,
        f"{name}: gives one channel for each pixel of at most 256 channels",
    )
    _check_apart(name, x, y)


class Dataflow:
    """Which tensors hold a value: they were written, and nothing was written over them since."""

    def __init__(self, tensors: tuple[PlacedTensor, ...], first: int) -> None:
        self._tensors = tensors
        self._held = {first}

    def run(self, name: str, operator: Operator, scratch: Region | None) -> None:
        """Raises ArtifactError where the operator reads a tensor that holds none."""
        self.check_held(f"{name}: reads a tensor that holds no value", *inputs_of(operator))
        written = [self._tensors[operator.output].region]
        if scratch is not None:
            written.append(scratch)
        self._held = {t for t in self._held if not any(self._tensors[t].region.overlaps(r) for r in written)}
        self._held.add(operator.output)

    def check_held(self, message: str, *tensors: int) -> None:
        require(self._held.issuperset(tensors), ArtifactStatus.ARENA_RANGE, message)


def _window_fits(window: Window, image: PlacedTensor, output: PlacedTensor) -> bool:
    fields = (*window.kernel, *window.stride, *window.dilation)
    if min(fields) < 1 or max(*fields, *window.padding) > 255:
        return False
    return max(window.padding_behind(image, output)) <= MAX_PADDING_BEHIND


def _check_apart(name: str, x: PlacedTensor, y: PlacedTensor) -> None:
    require(not x.region.overlaps(y.region), ArtifactStatus.ARENA_RANGE, f"{name}: input and output overlap")


def _check_in_place(name: str, inputs: tuple[PlacedTensor, ...], y: PlacedTensor) -> None:
    require(
        all((x.offset, x.shape) == (y.offset, y.shape) or not x.region.overlaps(y.region) for x in inputs),
        ArtifactStatus.ARENA_RANGE,
        f"{name}: its output lies on part of an input",
    )
