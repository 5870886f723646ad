"""What an operator must fulfil so that the runtime may trust it; agents/runtime/src/check.c makes the same checks."""

from __future__ import annotations

from dccdka.lowering.graph import Add, Concatenate, Multiply, Pad, Window, inputs_of
from dccdka.packing.artifact import Artifact, ArtifactError, ArtifactStatus, PlacedTensor, Region
from dccdka.packing.layout import ALIGNMENT, MAX_PADDING_BEHIND


def require(holds: bool, status: ArtifactStatus, message: str) -> None:
    """Raise ArtifactError unless it holds."""
    if not holds:
        raise ArtifactError(status, message)


def check_shift(name: str, *shifts: int) -> None:
    require(all(1 <= shift <= 62 for shift in shifts), ArtifactStatus.REQUANTISATION, f"{name}: a shift is not 1 to 62")


def check_geometry(name: str, window: Window, image: PlacedTensor, output: PlacedTensor, groups: int) -> None:
    """Shapes of a convolution; image is its input as it reads it."""
    require(
        image.channels <= 65535 and _window_fits(window, image, output),
        ArtifactStatus.SHAPE,
        f"{name}: input, window and output do not belong together",
    )
    require(
        groups > 0 and image.channels % groups == 0 and output.channels % groups == 0,
        ArtifactStatus.SHAPE,
        f"{name}: {groups} groups do not divide its channels",
    )


def check_scratch(name: str, scratch: Region, needed: int, arena_bytes: int, x: Region, y: Region) -> None:
    inside = scratch.offset % ALIGNMENT == 0 and scratch.offset + scratch.bytes <= arena_bytes
    require(
        inside and scratch.bytes >= needed,
        ArtifactStatus.ARENA_RANGE,
        f"{name}: scratch of {scratch.bytes} bytes at {scratch.offset} is too small or not inside the arena",
    )
    apart = not (x.overlaps(y) or scratch.overlaps(x) or scratch.overlaps(y))
    require(apart, ArtifactStatus.ARENA_RANGE, f"{name}: input, output and scratch overlap")


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
    check_shift(name, operator.shift)
    _check_in_place(name, (x, x2), y)


def check_elementwise(
    name: str, x: PlacedTensor, y: PlacedTensor, table: Region | None = None, artifact_bytes: int = 0
) -> None:
    """ReLU, lookup and softmax; table is where the latter two have theirs in the artifact."""
    require(x.shape == y.shape, ArtifactStatus.SHAPE, f"{name}: shapes differ")
    if table is not None:
        inside = table.offset + table.bytes <= artifact_bytes
        require(inside, ArtifactStatus.DATA_RANGE, f"{name}: its table lies outside the artifact")
    _check_in_place(name, (x,), y)


def check_pool(name: str, window: Window, image: PlacedTensor, output: PlacedTensor, shift: int | None = None) -> None:
    behind = window.padding_behind(image, output)
    require(
        _window_fits(window, image, output)
        and image.channels == output.channels
        and all(p < k and b < k for p, b, k in zip(window.padding, behind, window.kernel, strict=True)),
        ArtifactStatus.SHAPE,
        f"{name}: input, window and output do not belong together",
    )
    if shift is not None:
        check_shift(name, shift)
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


def check_dataflow(artifact: Artifact) -> None:
    """Every tensor that is read was written before, and nothing was written over it since."""
    held = {artifact.input}
    for i, (operator, scratch) in enumerate(zip(artifact.operators, artifact.scratch, strict=True)):
        require(
            held.issuperset(inputs_of(operator)),
            ArtifactStatus.ARENA_RANGE,
            f"operator {i}: reads a tensor that holds no value",
        )
        written = artifact.tensors[operator.output].region
        regions = [written] if scratch is None else [written, scratch]
        held = {t for t in held if not any(artifact.tensors[t].region.overlaps(region) for region in regions)}
        held.add(operator.output)
    require(artifact.output in held, ArtifactStatus.ARENA_RANGE, "the output tensor holds no value at the end")


def _window_fits(window: Window, image: PlacedTensor, output: PlacedTensor) -> bool:
    if 0 in window.kernel or 0 in window.stride or 0 in window.dilation:
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
