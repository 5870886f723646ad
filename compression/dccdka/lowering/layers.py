"""The few kinds of layers that networks are read as, whichever way they were written (see reading/)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import fx, nn

from dccdka.lowering.graph import POINT, Window


@dataclass(frozen=True)
class Weighted:
    """A convolution or linear layer; name is its module's. The window of a Conv1d lies along x."""

    name: str
    module: nn.Conv2d | nn.Conv1d | nn.Linear
    window: Window = POINT
    groups: int = 1


@dataclass(frozen=True, eq=False)
class Affine:
    """y = x * factor + offset, a factor and offset for each channel: batch norm, or scaling by a constant."""

    factor: NDArray[np.float64]
    offset: NDArray[np.float64]


@dataclass(frozen=True)
class Clamp:
    """ReLU and its like, in real values."""

    low: float
    high: float


@dataclass(frozen=True)
class Scale:
    """Multiplication by a positive number: the same integers, read by another scale."""

    factor: float


@dataclass(frozen=True)
class Function:
    """Any other function of single values."""


@dataclass(frozen=True)
class Sum:
    """first_factor * first + second_factor * second."""

    first: fx.Node
    first_factor: float
    second: fx.Node
    second_factor: float


@dataclass(frozen=True)
class Product:
    """Of two tensors."""


@dataclass(frozen=True)
class Quotient:
    """Of two tensors, or a power of them: lowered only where both are functions of one and the same value."""


@dataclass(frozen=True)
class Join:
    """Concatenation along an axis, counted without n."""

    axis: int


@dataclass(frozen=True)
class Adaptive:
    """A pool's output size, (y, x); None keeps the image's."""

    size: tuple[int | None, int | None]


@dataclass(frozen=True)
class Over:
    """All of some axes, counted without n."""

    axes: frozenset[int]


Region = Window | Adaptive | Over


@dataclass(frozen=True)
class Average:
    """The sum of each region over the divisor; None divides by the number of its values."""

    region: Region
    divisor: int | None = None


@dataclass(frozen=True)
class Maximum:
    region: Region


@dataclass(frozen=True)
class Padding:
    """Zeros around the image."""

    top: int
    left: int


@dataclass(frozen=True)
class Exponentials:
    """Softmax along an axis, counted without n."""

    axis: int


@dataclass(frozen=True)
class Largest:
    """Index of the largest value along an axis, counted without n."""

    axis: int


@dataclass(frozen=True)
class Rearrange:
    """The same values in another order or shape."""


@dataclass(frozen=True)
class Expanded:
    """The same values repeated along axes that had one: only as a factor, which repeats them by itself."""


@dataclass(frozen=True)
class Nothing:
    """The same values in the same order and shape."""


Layer = (
    Weighted
    | Affine
    | Clamp
    | Scale
    | Function
    | Sum
    | Product
    | Quotient
    | Join
    | Average
    | Maximum
    | Padding
    | Exponentials
    | Largest
    | Rearrange
    | Expanded
    | Nothing
)

# What maps each value by itself, if all that it reads comes from one tensor.
ELEMENTWISE = (Clamp, Scale, Function, Sum, Product, Quotient, Nothing)
