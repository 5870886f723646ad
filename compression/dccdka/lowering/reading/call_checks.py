"""What the readers of calls share: refusals by name, and torch's arguments in one form."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import fx

from dccdka.lowering.calls import Call
from dccdka.lowering.errors import LoweringError
from dccdka.lowering.layers import Layer
from dccdka.lowering.tracing import describe

# By the name of a module's class or of a function; a reader takes the call and its arguments under torch's names.
Readers = dict[str, Callable[..., Layer]]


def refuse(condition: bool, call: Call, message: str) -> None:
    """Raises LoweringError, naming the call and its line, where the condition holds."""
    if condition:
        raise LoweringError(f"{describe(call.node)}: {message}")


def pair(value: int | Sequence[int], line: int | None = None) -> tuple[int, int]:
    """(y, x) of torch's argument, where one number stands for both; of a sequence's only axis, x with `line` for y."""
    sizes = (value,) if isinstance(value, int) else tuple(value)
    if len(sizes) == 2:
        return sizes[0], sizes[1]
    return sizes[0] if line is None else line, sizes[0]


def axis_of(call: Call, dim: int) -> int:
    """Of a torch axis among those with n, the axis without n."""
    axes = len(call.input_shape) + 1
    refuse(dim % axes == 0, call, "works across images; use another axis than 0")
    return dim % axes - 1


def from_attributes(reader: Callable[..., Layer], *names: str) -> Callable[..., Layer]:
    """A reader of a module from that of its function: its attributes become the arguments."""

    def read(call: Call, *tensors: fx.Node) -> Layer:
        return reader(call, *tensors, *(getattr(call.module, name) for name in names))

    return read
