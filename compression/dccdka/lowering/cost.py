"""What a graph costs in multiplications."""

from __future__ import annotations

import numpy as np

from dccdka.lowering.graph import Convolution, IntegerGraph


def macs(graph: IntegerGraph) -> int:
    """Multiply-accumulates of convolutions and linear layers for one image.

    Counted as the field does: output positions x filters x taps x input channels of a group; taps in the padding and
    weights of zero count, biases do not.
    """
    return sum(positions * operator.codes.size for positions, operator in _convolutions(graph))


def nonzero_macs(graph: IntegerGraph) -> int:
    """The same without weights of zero, which the runtime skips."""
    return sum(
        positions * int(np.count_nonzero(operator.codes != operator.weight_zero_point))
        for positions, operator in _convolutions(graph)
    )


def _convolutions(graph: IntegerGraph) -> list[tuple[int, Convolution]]:
    """Each with its number of output positions."""
    outputs = [(graph.tensors[operator.output], operator) for operator in graph.operators]
    return [(y.height * y.width, operator) for y, operator in outputs if isinstance(operator, Convolution)]
