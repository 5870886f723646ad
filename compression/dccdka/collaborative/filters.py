"""Which filters of a network must live and die together: found by following the channels through its torch.fx graph.

A channel is made by a filter and read by everything behind it. Where two tensors are added or multiplied, and where a
depthwise layer makes one channel of another, their channels become one unit, which is pruned as a whole.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from dccdka.collaborative.channel_axes import (
    Followed,
    averaged,
    flat,
    flattened,
    indexed,
    option,
    padded,
    reshaped,
    squeezed,
)
from dccdka.collaborative.tracing import NotTraceable, traced
from dccdka.recipe import RecipeError


@dataclass(frozen=True)
class FilterGroup:
    """Layers whose filters are pruned together, and the units that they share."""

    layers: tuple[str, ...]
    units: Tensor


@dataclass(frozen=True)
class FilterStructure:
    """The units of a network, numbered from 0, and who makes and reads them.

    outputs: the unit of each filter of a layer; inputs: that of each column of its weight, where it is known; norms:
    that of each channel of a batch norm. groups: what can be pruned; units in no group live always. fixed: layers that
    keep all their filters, besides those that make the network's output. The tensors are on the network's device.
    """

    count: int
    outputs: dict[str, Tensor]
    inputs: dict[str, Tensor]
    norms: dict[str, Tensor]
    groups: tuple[FilterGroup, ...]
    fixed: tuple[str, ...]


def filter_structure(model: nn.Module) -> FilterStructure:
    """Raises RecipeError when torch.fx cannot trace the model."""
    try:
        graph = traced(model)
    except NotTraceable as error:
        raise RecipeError(
            f'pruning: "filters" follows the channels through the network, which torch.fx cannot trace ({error});'
            ' use "layer"'
        ) from error
    channels = _Channels(model)
    for node in graph.nodes:
        channels.visit(node)
    return channels.structure()


_THROUGH_MODULES = (
    nn.ReLU,
    nn.ReLU6,
    nn.Hardtanh,
    nn.Hardswish,
    nn.Hardsigmoid,
    nn.Sigmoid,
    nn.SiLU,
    nn.Tanh,
    nn.GELU,
    nn.ELU,
    nn.LeakyReLU,
    nn.Softplus,
    nn.Mish,
    nn.Identity,
    nn.Dropout,
    nn.Dropout2d,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.ZeroPad2d,
    nn.ConstantPad2d,
    nn.Upsample,
)
_THROUGH_FUNCTIONS = {
    torch.relu,
    torch.sigmoid,
    torch.tanh,
    torch.clamp,
    F.relu,
    F.relu6,
    F.hardtanh,
    F.hardswish,
    F.hardsigmoid,
    F.sigmoid,
    F.silu,
    F.tanh,
    F.gelu,
    F.elu,
    F.leaky_relu,
    F.softplus,
    F.mish,
    F.dropout,
    F.max_pool2d,
    F.avg_pool2d,
    F.adaptive_avg_pool2d,
    F.adaptive_max_pool2d,
    F.interpolate,
}
# Each channel of the result depends on all of them, so that none can be removed; where it is the output, none is to be.
_MIXING_MODULES = (nn.Softmax, nn.LogSoftmax)
_MIXING_FUNCTIONS = {torch.softmax, torch.log_softmax, F.softmax, F.log_softmax}
_MIXING_METHODS = {"softmax", "log_softmax"}
_THROUGH_METHODS = {"relu", "relu_", "sigmoid", "tanh", "clamp", "clamp_", "contiguous", "float"}
_SHAPE_METHODS = {"size", "dim"}
_JOINING = {operator.add, operator.iadd, operator.sub, operator.mul, operator.imul, torch.add, torch.sub, torch.mul}
_JOINING_METHODS = {"add", "add_", "sub", "mul", "mul_"}
_SCALING = {operator.mul, operator.imul, operator.truediv, torch.mul, torch.div, operator.neg}
_SCALING_METHODS = {"mul", "mul_", "div", "div_", "neg"}
# By function, or name of a method.
_SHAPING: dict[object, Callable[[fx.Node, Followed], Followed | None]] = {
    F.pad: padded,
    operator.getitem: indexed,
    torch.flatten: flattened,
    torch.reshape: reshaped,
    torch.mean: averaged,
    torch.squeeze: squeezed,
    "flatten": flattened,
    "view": reshaped,
    "reshape": reshaped,
    "mean": averaged,
    "squeeze": squeezed,
}


@dataclass
class _Channels:
    """Follows units through a graph, node by node."""

    model: nn.Module
    parents: list[int] = field(default_factory=list)
    pinned: set[int] = field(default_factory=set)
    shown: set[int] = field(default_factory=set)
    values: dict[fx.Node, Followed] = field(default_factory=dict)
    outputs: dict[str, tuple[int, ...]] = field(default_factory=dict)
    inputs: dict[str, tuple[int, ...]] = field(default_factory=dict)
    norms: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def visit(self, node: fx.Node) -> None:
        """Give the node its value, if it has one that can be followed; else whatever flows into it is pinned."""
        arguments = [self.values[value] for value in node.all_input_nodes if value in self.values]
        if node.op == "output":
            self.shown.update(unit for value in arguments for unit in value.units)
        if node.op in ("placeholder", "get_attr") or self._is_shape(node):
            return
        value = self._module(node) if node.op == "call_module" else self._call(node)
        if value is None:
            for argument in arguments:
                self._pin(argument.units)
        else:
            self.values[node] = value

    def structure(self) -> FilterStructure:
        pinned = {self._root(unit) for unit in self.pinned | self.shown}
        made = {name: [self._root(unit) for unit in units] for name, units in self.outputs.items()}
        groups: dict[frozenset[int], list[str]] = {}
        for name, units in made.items():
            groups.setdefault(frozenset(units), []).append(name)
        # A group that shares some units with another cannot have just its share of filters: it stays whole.
        shared = [unit for units in groups for unit in units]
        crossed = {unit for unit in shared if shared.count(unit) > 1} if len(shared) != len(set(shared)) else set()
        free = {units: names for units, names in groups.items() if not units & (pinned | crossed)}
        shown = {self._root(unit) for unit in self.shown}
        fixed = [name for units, names in groups.items() if units not in free and not units & shown for name in names]
        numbers = {
            root: number for number, root in enumerate(sorted({self._root(u) for u in range(len(self.parents))}))
        }

        device = next(self.model.parameters()).device

        def numbered(units: Iterable[int]) -> Tensor:
            return torch.tensor([numbers[self._root(unit)] for unit in units], dtype=torch.int64, device=device)

        return FilterStructure(
            len(numbers),
            {name: numbered(units) for name, units in self.outputs.items()},
            {name: numbered(units) for name, units in self.inputs.items()},
            {name: numbered(units) for name, units in self.norms.items()},
            tuple(FilterGroup(tuple(names), numbered(sorted(units))) for units, names in free.items()),
            tuple(fixed),
        )

    def _module(self, node: fx.Node) -> Followed | None:
        name = str(node.target)
        module = self.model.get_submodule(name)
        value = self._argument(node, 0)
        if isinstance(module, nn.Conv2d | nn.Conv1d):
            return self._convolution(name, module, value)
        if isinstance(module, nn.Linear):
            return self._linear(name, module, value)
        if value is None:
            return None
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            # Without a factor and a bias to prune, it makes something of a channel of zeros; and so it does of others.
            if not module.affine or value.axes is None or not self._join(self.norms.get(name), value.units):
                return None
            self.norms[name] = value.units
            return value
        if isinstance(module, nn.Flatten):
            return flat(value) if module.start_dim == 1 and module.end_dim == -1 else None
        if isinstance(module, _MIXING_MODULES):
            return self._mixed(value)
        return value if isinstance(module, _THROUGH_MODULES) else None

    def _convolution(self, name: str, module: nn.Conv2d | nn.Conv1d, value: Followed | None) -> Followed:
        axes = len(module.kernel_size)
        if module.groups > 1:
            if value is not None and module.groups == module.in_channels == len(value.units):
                multiplier = module.out_channels // module.in_channels
                units = tuple(unit for unit in value.units for _ in range(multiplier))
                self._join(self.outputs.get(name), units)
                self.outputs[name] = units
                return Followed(units, axes)
            # The channels of a group must stay together: none of them is pruned.
            self._pin(() if value is None else value.units)
            self._pin(self._made_by(name, module.out_channels))
        elif value is not None:
            self._read_by(name, value.units)
        return Followed(self._made_by(name, module.out_channels), axes)

    def _linear(self, name: str, module: nn.Linear, value: Followed | None) -> Followed | None:
        made = self._made_by(name, module.out_features)
        if value is None:
            # It may run over any dimension of what it reads.
            self._pin(made)
            return Followed(made, 0)
        if value.axes or module.in_features % len(value.units):
            self._pin(made)
            return None
        positions = module.in_features // len(value.units)
        self._read_by(name, tuple(unit for unit in value.units for _ in range(positions)))
        return Followed(made, 0)

    def _call(self, node: fx.Node) -> Followed | None:
        value = self._argument(node, 0)
        tensors = [argument for argument in node.args if isinstance(argument, fx.Node)]
        name = node.target if node.op == "call_method" else None
        if (node.target in _JOINING and len(tensors) == 2) or (name in _JOINING_METHODS and len(tensors) == 2):
            other = self._argument(node, 1)
            same = value is not None and other is not None and value.axes == other.axes
            return value if same and self._join(value.units, other.units) else None  # type: ignore[union-attr]  # same
        if node.target is torch.cat:
            return self._concatenation(node)
        if value is None:
            return None
        if node.target in _THROUGH_FUNCTIONS or name in _THROUGH_METHODS:
            return value
        if node.target in _MIXING_FUNCTIONS or name in _MIXING_METHODS:
            return self._mixed(value)
        if (node.target in _SCALING or name in _SCALING_METHODS) and len(tensors) == 1:
            return value
        shaping = _SHAPING.get(node.target)
        return None if shaping is None else shaping(node, value)

    def _mixed(self, value: Followed) -> Followed:
        self._pin(value.units)
        return value

    def _concatenation(self, node: fx.Node) -> Followed | None:
        parts = node.args[0]
        if not isinstance(parts, Sequence) or option(node, 1, "dim", 0) != 1:
            return None
        values = [self.values.get(part) for part in parts if isinstance(part, fx.Node)]
        axes = {None if value is None else value.axes for value in values}
        if len(values) != len(parts) or len(axes) != 1 or None in axes:
            return None
        known = [value for value in values if value is not None]
        return Followed(tuple(unit for value in known for unit in value.units), known[0].axes)

    def _argument(self, node: fx.Node, position: int) -> Followed | None:
        argument = node.args[position] if len(node.args) > position else node.kwargs.get("input")
        return self.values.get(argument) if isinstance(argument, fx.Node) else None

    def _is_shape(self, node: fx.Node) -> bool:
        if node.op == "call_method":
            return node.target in _SHAPE_METHODS
        return node.target is getattr and len(node.args) > 1 and node.args[1] in ("shape", "ndim")

    def _made_by(self, name: str, filters: int) -> tuple[int, ...]:
        if name not in self.outputs:
            self.outputs[name] = tuple(range(len(self.parents), len(self.parents) + filters))
            self.parents.extend(self.outputs[name])
        return self.outputs[name]

    def _read_by(self, name: str, units: tuple[int, ...]) -> None:
        self._join(self.inputs.get(name), units)
        self.inputs[name] = units

    def _join(self, units: tuple[int, ...] | None, others: tuple[int, ...]) -> bool:
        """Make two tensors' units one, pair by pair; False when they do not pair up. None is joined with anything."""
        if units is None:
            return True
        if len(units) != len(others):
            self._pin(units)
            self._pin(others)
            return False
        for unit, other in zip(units, others, strict=True):
            self.parents[self._root(unit)] = self._root(other)
        return True

    def _pin(self, units: Iterable[int]) -> None:
        self.pinned.update(units)

    def _root(self, unit: int) -> int:
        while self.parents[unit] != unit:
            self.parents[unit] = unit = self.parents[self.parents[unit]]
        return unit
