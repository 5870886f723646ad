"""What an operator must fulfil so that the runtime may trust it; agents/runtime/src/check.c makes the same checks."""

from __future__ import annotations

from dccdka.lowering.graph import Window, inputs_of
from dccdka.packing.artifact import Artifact, ArtifactError, ArtifactStatus, PlacedTensor, Region
from dccdka.packing.layout import ALIGNMENT


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


def check_elementwise(
    name: str, inputs: tuple[PlacedTensor, ...], output: PlacedTensor, shift: int | None = None
) -> None:
    """Add and ReLU: equal shapes; the output lies exactly on an input or apart from it."""
    require(all(x.shape == output.shape for x in inputs), ArtifactStatus.SHAPE, f"{name}: shapes differ")
    if shift is not None:
        check_shift(name, shift)
    require(
        all(x.offset == output.offset or not x.region.overlaps(output.region) for x in inputs),
        ArtifactStatus.ARENA_RANGE,
        f"{name}: its output lies on part of an input",
    )


def check_pool(name: str, window: Window, image: PlacedTensor, output: PlacedTensor, shift: int | None = None) -> None:
    padding_inside = all(p < k for p, k in zip(window.padding, window.kernel, strict=True))
    require(
        _window_fits(window, image, output) and image.channels == output.channels and padding_inside,
        ArtifactStatus.SHAPE,
        f"{name}: input, window and output do not belong together",
    )
    if shift is not None:
        check_shift(name, shift)
    require(not image.region.overlaps(output.region), ArtifactStatus.ARENA_RANGE, f"{name}: input and output overlap")


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
    if 0 in window.kernel or 0 in window.stride:
        return False
    sizes = zip((image.height, image.width), window.padding, window.kernel, strict=True)
    if any(size + 2 * padding < kernel for size, padding, kernel in sizes):
        return False
    return window.output_size(image.height, image.width) == (output.height, output.width)
