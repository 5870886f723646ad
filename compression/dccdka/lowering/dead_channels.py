"""Removes the channels that do nothing: what is left computes the same function.

A channel is removed where nothing reads it, or where it is constant and all that read it are convolutions that can
take its value into their biases: whole filters that were pruned, units that never leave their clamp, and what feeds
these alone. The network's input and output keep all their channels.

Every step but one is exact: a bias takes constants in its own steps, output steps / 2^fraction_bits, and so rounds them
to half of one, as it was itself rounded when it was made.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dccdka.lowering.accumulators import accumulator_bounds
from dccdka.lowering.bounds import Bounds, channel_bounds, is_padded
from dccdka.lowering.graph import (
    Add,
    ArgMax,
    Concatenate,
    Convolution,
    IntegerGraph,
    Multiply,
    Operator,
    Requantisation,
    Softmax,
    inputs_of,
)

_Mask = NDArray[np.bool_]
_INT32_MAX = 2**31 - 1


def remove_dead_channels(graph: IntegerGraph) -> IntegerGraph:
    """The same function of the image with fewer channels; operators whose output nothing reads go as well."""
    bounds = channel_bounds(graph)
    return _Removal(graph, bounds, _Keeping(graph, bounds).run()).run()


def kept_channels(graph: IntegerGraph) -> list[_Mask]:
    """Which channels remove_dead_channels leaves, by tensor, bool [channels]; a tensor without any goes altogether."""
    return _Keeping(graph, channel_bounds(graph)).run()


class _Keeping:
    """Finds the channels that must stay: the least sets that hold what the output needs, every shape fitting.

    Every channel that stays is computed as before, also one that stays only to make shapes fit.
    """

    def __init__(self, graph: IntegerGraph, bounds: list[Bounds]) -> None:
        self.graph = graph
        self.foldable = {
            i: _foldable(graph, operator, bounds[operator.input])
            for i, operator in enumerate(graph.operators)
            if isinstance(operator, Convolution) and operator.groups == 1
        }
        self.kept = [np.zeros(tensor.channels, bool) for tensor in graph.tensors]
        self.kept[graph.input][:] = True
        self.kept[graph.output][:] = True
        # By operator: the filters that stayed when it was looked at last.
        self.looked_at: dict[int, _Mask] = {}

    def run(self) -> list[_Mask]:
        """By tensor; a tensor of which nothing stays is not needed."""
        before = -1
        while (now := sum(int(mask.sum()) for mask in self.kept)) != before:
            before = now
            for i, operator in reversed(list(enumerate(self.graph.operators))):
                if self.kept[operator.output].any():
                    self._keep_inputs(i, operator)
        return self.kept

    def _keep_inputs(self, index: int, operator: Operator) -> None:
        kept = self.kept
        x, y = operator.input, operator.output
        if isinstance(operator, Convolution) and operator.residual is not None:
            self._keep_together(operator.residual.tensor, y)
        match operator:
            case Convolution(groups=1):
                before = self.looked_at.get(index)
                if before is None or not np.array_equal(before, kept[y]):
                    self.looked_at[index] = kept[y].copy()
                    kept[x] |= _read(operator, kept[y], len(kept[x])) & ~self.foldable[index]
            case Convolution(flatten_input=True):
                kept[x][:] = kept[y][:] = True
            case Convolution():
                by_group = [kept[t].reshape(operator.groups, -1) for t in (x, y)]
                groups: _Mask = np.logical_or(by_group[0].any(axis=1), by_group[1].any(axis=1))
                for mask in by_group:
                    mask |= groups[:, None]
            case Concatenate():
                first = len(kept[x])
                kept[x] |= kept[y][:first]
                kept[operator.second] |= kept[y][first:]
            case Softmax() | ArgMax():
                kept[x][:] = kept[y][:] = True
            case _:
                self._keep_together(*inputs_of(operator), y)
        for t in inputs_of(operator):
            if not kept[t].any():  # an image has one channel at least
                kept[t][0] = True
        if isinstance(operator, Concatenate):
            kept[y] |= np.concatenate((kept[x], kept[operator.second]))

    def _keep_together(self, *tensors: int) -> None:
        together = np.logical_or.reduce([self.kept[t] for t in tensors])
        for t in tensors:
            self.kept[t] |= together


def _foldable(graph: IntegerGraph, operator: Convolution, bounds: Bounds) -> _Mask:
    """The constant input channels that the bias can stand for: those that are as what lies around the image, if any."""
    x, y = graph.tensors[operator.input], graph.tensors[operator.output]
    foldable = bounds.constant
    if not operator.flatten_input and is_padded(operator.window, x, y):
        foldable &= bounds.low == x.zero_point
    requantisation = operator.requantisation
    largest_sums = np.abs(accumulator_bounds(operator.codes, operator.weight_zero_point)).max(axis=0)
    largest_constants = np.abs(_in_bias_steps(largest_sums, requantisation))
    largest_biases = np.abs(requantisation.bias.astype(np.int64)) + largest_constants
    return foldable if (largest_biases <= _INT32_MAX).all() else np.zeros_like(foldable)


def _in_bias_steps(sums: NDArray[np.int64], requantisation: Requantisation) -> NDArray[np.int64]:
    """What is left of sums when the bias is added to them, rounded."""
    shifted = sums << requantisation.scaling.accumulator_shift
    steps: NDArray[np.int64] = (shifted * requantisation.multiplier + (1 << 15)) >> 16
    return steps


def _read(operator: Convolution, filters: _Mask, channels: int) -> _Mask:
    """The input channels that these filters of an ungrouped convolution read."""
    columns = np.zeros(operator.codes.shape[3], bool)
    for weights in operator.codes[filters]:
        columns |= (weights != operator.weight_zero_point).any(axis=(0, 1))
    read: _Mask = np.logical_or.reduce(columns.reshape(-1, channels))
    return read


class _Removal:
    def __init__(self, graph: IntegerGraph, bounds: list[Bounds], kept: list[_Mask]) -> None:
        self.graph = graph
        self.bounds = bounds
        self.kept = kept

    def run(self) -> IntegerGraph:
        graph = self.graph
        live = [i for i, mask in enumerate(self.kept) if mask.any()]
        index = {old: new for new, old in enumerate(live)}
        tensors = tuple(replace(graph.tensors[i], channels=int(self.kept[i].sum())) for i in live)
        operators: list[Operator] = []
        for operator in graph.operators:
            if operator.output in index:
                smaller = self._smaller(operator) if isinstance(operator, Convolution) else operator
                if isinstance(smaller, Add | Multiply | Concatenate):
                    smaller = replace(smaller, second=index[smaller.second])
                if isinstance(smaller, Convolution) and smaller.residual is not None:
                    residual = replace(smaller.residual, tensor=index[smaller.residual.tensor])
                    smaller = replace(smaller, residual=residual)
                operators.append(replace(smaller, input=index[operator.input], output=index[operator.output]))
        return IntegerGraph(tensors, tuple(operators), index[graph.input], index[graph.output])

    def _smaller(self, operator: Convolution) -> Convolution:
        inputs, outputs = self.kept[operator.input], self.kept[operator.output]
        if inputs.all() and outputs.all():
            return operator
        whole = operator.requantisation
        codes = operator.codes[outputs]
        requantisation = replace(whole, multiplier=whole.multiplier[outputs], bias=whole.bias[outputs])
        if operator.groups > 1:
            groups = int(inputs.reshape(operator.groups, -1).any(axis=1).sum())
            return replace(operator, groups=groups, codes=codes, requantisation=requantisation)
        columns = np.resize(inputs, codes.shape[3])
        constants = self._constants(operator, codes[..., ~columns], ~columns)
        bias = (requantisation.bias + _in_bias_steps(constants, requantisation)).astype(np.int32)
        return replace(
            operator,
            codes=np.ascontiguousarray(codes[..., columns]),
            requantisation=replace(requantisation, bias=bias),
        )

    def _constants(self, operator: Convolution, codes: NDArray[np.uint8], columns: _Mask) -> NDArray[np.int64]:
        """What the removed columns add to each filter's sum. One that is not constant has weights of zero only."""
        by_column = np.resize(self.bounds[operator.input].low, len(columns))[columns]
        weights = (codes.astype(np.int64) - operator.weight_zero_point).sum(axis=(1, 2))
        constants: NDArray[np.int64] = weights @ by_column
        return constants
