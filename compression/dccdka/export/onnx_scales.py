"""Real scales for the tensors between layers, which an artifact does not store: any that its multipliers agree with.

Only the scales of input and output are known; all others have gone into multipliers, and a convolution or a table
between two tensors takes whatever scales they have. So the choice changes no output; it only sets what is called 1.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

from dccdka.export.errors import ExportError
from dccdka.lowering.graph import (
    Add,
    AveragePool,
    Concatenate,
    MaxPool,
    Operator,
    Pad,
    ReLU,
    Scaling,
    Softmax,
)
from dccdka.packing.artifact import Artifact

_FREE = 2.0**-7  # of tensors that nothing ties to another: int8 then spans -1 to 1
_VANISHING = 2.0**-16  # stands for a multiplier of 0


def tensor_scales(artifact: Artifact) -> list[float]:
    """By tensor, of an artifact with separate adds.

    Tensors that an addition, a pool or the like ties together get scales of the ratio that it has.
    """
    ratios: defaultdict[int, list[tuple[int, float]]] = defaultdict(list)
    known = {artifact.input: artifact.input_scale, artifact.output: artifact.output_scale}
    for index, operator in enumerate(artifact.operators):
        for one, other, ratio in _ties(operator):
            ratios[other].append((one, abs(ratio)))
            ratios[one].append((other, 1 / abs(ratio)))
        if isinstance(operator, Softmax):
            known.setdefault(operator.input, softmax_scale(index, operator))
    scales: dict[int, float] = {}
    for start in (*known, *range(len(artifact.tensors))):
        if start in scales:
            continue
        scales[start] = known.get(start, _FREE)
        reached = [start]
        while reached:
            tensor = reached.pop()
            for other, ratio in ratios[tensor]:
                if other not in scales and other not in known:
                    scales[other] = scales[tensor] * ratio
                    reached.append(other)
    return [scales[index] for index in range(len(artifact.tensors))]


def factor(scaling: Scaling, multiplier: int) -> float:
    """What a sum is multiplied by: (M << p) / 2^(16 + k); never 0."""
    return (multiplier or _VANISHING) * 2.0 ** (scaling.accumulator_shift - 16 - scaling.fraction_bits)


def ratio(multiplier: int, shift: int) -> float:
    """Scale of an addend over the sum's; never 0."""
    return (multiplier or _VANISHING) * 2.0**-shift


def softmax_scale(index: int, operator: Softmax) -> float:
    """The input's scale: the value at d is 2^15 exp(-d scale). Raises ExportError where no scale gives the table."""
    values = operator.exponentials.astype(float).tolist()
    # Rounding moves -ln(value) / d the least where value * d is largest.
    best = max(range(1, 256), key=lambda d: d * values[d])
    scale = math.log(values[0] / values[best]) / best if values[best] > 0 else math.log(2.0**17)
    if any(abs(value - values[0] * math.exp(-d * scale)) > 1 for d, value in enumerate(values)):
        raise ExportError(
            f"operator {index} (softmax): its table is no exponential function, which ONNX needs; export C instead"
        )
    return max(scale, 2.0**-20)


def _ties(operator: Operator) -> Iterator[tuple[int, int, float]]:
    """(one, other, scale of one / scale of other)."""
    output = operator.output
    match operator:
        case Add() | Concatenate():
            yield operator.input, output, ratio(operator.multiplier, operator.shift)
            yield operator.second, output, ratio(operator.second_multiplier, operator.shift)
        case AveragePool():
            yield operator.input, output, factor(operator.scaling, operator.multiplier) * operator.window.taps
        case MaxPool() | Pad() | ReLU():
            yield operator.input, output, 1.0
