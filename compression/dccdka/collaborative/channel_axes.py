"""A tensor whose channels are followed through a network, and what operations on its shape make of it.

Each function takes a node of torch.fx's graph and the value of its first argument, and gives the node's value, or None
where the channels cannot be followed: no shapes are known here, only how many axes there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import fx


@dataclass(frozen=True)
class Followed:
    """A tensor whose dimension 1 runs over units. axes: how many follow, none in [n, channels].

    With axes None it is [n, channels * positions], an unknown number of positions of each unit.
    """

    units: tuple[int, ...]
    axes: int | None


def option(node: fx.Node, position: int, name: str, default: Any) -> Any:
    """An argument of the call, by position or name."""
    return node.args[position] if len(node.args) > position else node.kwargs.get(name, default)


def flat(value: Followed) -> Followed:
    """Behind the flattening of all but the first dimension."""
    return Followed(value.units, None) if value.axes else value


def flattened(node: fx.Node, value: Followed) -> Followed | None:
    return flat(value) if option(node, 1, "start_dim", 0) == 1 and option(node, 2, "end_dim", -1) == -1 else None


def reshaped(node: fx.Node, value: Followed) -> Followed | None:
    """Only [n, rest], where one of both may be -1."""
    shape = node.args[1:]
    if len(shape) == 1 and isinstance(shape[0], Sequence):
        shape = tuple(shape[0])
    if len(shape) != 2:
        return None
    rows, columns = shape
    if columns == -1:
        return flat(value)
    if not isinstance(columns, int) or not (rows == -1 or isinstance(rows, fx.Node)):
        return None
    whole = columns == len(value.units) if value.axes == 0 else columns % len(value.units) == 0
    return flat(value) if whole else None


def padded(node: fx.Node, value: Followed) -> Followed | None:
    return value if len(option(node, 1, "pad", ())) <= 2 * (value.axes or 0) else None


def averaged(node: fx.Node, value: Followed) -> Followed | None:
    """The mean over some of the axes behind the channels."""
    gone = _behind_channels(option(node, 1, "dim", None), value)
    if gone is None or value.axes is None:
        return None
    return value if option(node, 2, "keepdim", False) else Followed(value.units, value.axes - len(gone))


def squeezed(node: fx.Node, value: Followed) -> Followed | None:
    """Without some of the axes behind the channels, which have one position."""
    gone = _behind_channels(option(node, 1, "dim", None), value)
    return None if gone is None or value.axes is None else Followed(value.units, value.axes - len(gone))


def indexed(node: fx.Node, value: Followed) -> Followed | None:
    """[:, :, ...] with a number or a slice for each axis behind."""
    index = node.args[1]
    if not isinstance(index, tuple) or value.axes is None or not 2 <= len(index) <= 2 + value.axes:
        return None
    whole = all(part == slice(None) for part in index[:2])
    plain = all(isinstance(part, int | slice) for part in index[2:])
    return Followed(value.units, value.axes - sum(isinstance(p, int) for p in index)) if whole and plain else None


def _behind_channels(dimensions: object, value: Followed) -> set[int] | None:
    """The axes that are named, from 2 on; None when none is, or one of the first two."""
    named = [dimensions] if isinstance(dimensions, int) else dimensions
    if value.axes is None or not isinstance(named, Sequence) or not all(isinstance(d, int) for d in named):
        return None
    found = {d % (2 + value.axes) for d in named}
    return found if found and min(found) >= 2 else None
