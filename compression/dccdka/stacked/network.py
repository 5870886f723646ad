"""One network made of N copies of a model, each with weights of its own, that computes all of them in one pass.

The candidates lie side by side in dimension 1: a value [b, c, ...] of the model becomes [b, N c, ...], the channels of
a candidate being neighbours. So a convolution is a grouped one, batch norm keeps its statistics per candidate by
itself, and whatever acts on each channel alone stays as it is; everything else goes through torch.vmap. For ResNet-8
this takes about half the time of one vmap over the whole network, whose gradients come in another memory layout than
its values (`python -m benchmarks.stacked --passes 8 --batch 128`).
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.utils import _pytree as pytree

# Each channel of their output depends on the same channel of their inputs alone.
_CHANNELWISE_MODULES = (
    nn.ReLU,
    nn.ReLU6,
    nn.Hardswish,
    nn.Hardsigmoid,
    nn.Sigmoid,
    nn.SiLU,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.Dropout,
    nn.Dropout2d,
    nn.Identity,
)
_CHANNELWISE_FUNCTIONS = frozenset(
    {
        F.relu,
        F.relu6,
        F.hardswish,
        F.hardsigmoid,
        F.silu,
        F.max_pool2d,
        F.avg_pool2d,
        F.adaptive_avg_pool2d,
        F.dropout,
        torch.relu,
        torch.sigmoid,
        torch.add,
        torch.mul,
        operator.add,
        operator.iadd,
        operator.mul,
        operator.imul,
    }
)
_CHANNELWISE_METHODS = frozenset({"relu", "sigmoid", "add", "mul", "contiguous"})
_SHAPE_QUERIES = frozenset({"size", "dim", "shape", "ndim"})
_TOLERANCE = 1e-3


class StackingError(ValueError):
    """These candidates cannot be trained at once; the message names the module or field, and says what to do."""


def stack_network(model: nn.Module, count: int, images: Tensor) -> fx.GraphModule:
    """`count` copies of the model as one network: images [b, c, h, w] -> logits [b, count * classes].

    It is in training mode, on the CPU.

    Its parameters and buffers have the model's names; a parameter is a contiguous [count, *shape of the model's]
    under another shape. images: two or more, with which the result is compared with the model. The model is not
    altered. Raises StackingError for a model that cannot be stacked.
    """
    model = copy.deepcopy(model).cpu()
    network = _Stacking(model, count).network
    _check(model, network, count, images.cpu())
    return network.train()


class _Stacking:
    """Rewrites the traced graph from its input to its output."""

    def __init__(self, model: nn.Module, count: int) -> None:
        self.count = count
        self.network = _trace(model)
        # Nodes whose value differs from candidate to candidate.
        self.stacked: set[fx.Node] = set()
        self.layers: dict[str, nn.Module] = {}
        for node in list(self.network.graph.nodes):
            self._rewrite(node)
        self.network.graph.lint()
        self.network.recompile()

    def _rewrite(self, node: fx.Node) -> None:
        inputs = [n in self.stacked for n in node.all_input_nodes]
        if node.op == "get_attr":
            owner, _, name = str(node.target).rpartition(".")
            if isinstance(getattr(self.network.get_submodule(owner), name), nn.Parameter):
                raise StackingError(f"parameter {node.target} is used outside a layer; {_ADVICE}")
        elif node.op == "output":
            if not any(inputs):
                raise StackingError(f"the network has no layer with weights; {_ADVICE}")
        elif node.op == "call_module":
            self._rewrite_module(node, inputs)
        elif any(inputs):
            self._rewrite_call(node, inputs)

    def _rewrite_module(self, node: fx.Node, inputs: list[bool]) -> None:
        name = str(node.target)
        module = self.network.get_submodule(name)
        layer = self.layers.get(name) or _stacked_layer(module, self.count, of_stacked=any(inputs))
        if layer is not None:
            self.layers[name] = layer
            self.network.set_submodule(name, layer)
            self.stacked.add(node)
        elif any(True for _ in (*module.parameters(), *module.buffers())):
            raise StackingError(
                f"module {name}: {type(module).__name__} cannot be stacked here; what has weights must be Conv2d, "
                f"Linear, or a BatchNorm behind one, and the first of them not depthwise; or {_ADVICE}"
            )
        elif any(inputs):
            self.stacked.add(node)
            if not _is_channelwise(module):
                self._by_vmap(node, module)

    def _rewrite_call(self, node: fx.Node, inputs: list[bool]) -> None:
        name = str(node.args[1]) if node.target is getattr else str(node.target)
        if name in _SHAPE_QUERIES:
            self._replace(node, _OfFirst(_called(node), self.count))
            return
        self.stacked.add(node)
        channelwise = node.target in _CHANNELWISE_FUNCTIONS or name in _CHANNELWISE_METHODS
        if not (channelwise and all(inputs)):
            self._by_vmap(node, _called(node))

    def _by_vmap(self, node: fx.Node, function: Callable[..., Any]) -> None:
        leaves = pytree.tree_leaves((node.args, node.kwargs))
        stacked = [isinstance(leaf, fx.Node) and leaf in self.stacked for leaf in leaves]
        self._replace(node, _PerCandidate(function, stacked, self.count))

    def _replace(self, node: fx.Node, module: nn.Module) -> None:
        name = f"_stacked_{node.name}"
        self.network.add_submodule(name, module)
        node.op, node.target = "call_module", name


_ADVICE = "train these candidates one by one with dccdka.training.compress"


def _trace(model: nn.Module) -> fx.GraphModule:
    try:
        return fx.symbolic_trace(copy.deepcopy(model).train())
    except (fx.proxy.TraceError, TypeError) as error:
        raise StackingError(
            f"{type(model).__name__} cannot be traced: its forward depends on values ({error}); {_ADVICE}"
        ) from error


def _is_channelwise(module: nn.Module) -> bool:
    # Flattened, the channels of a candidate stay neighbours.
    flattens = isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1)
    return flattens or isinstance(module, _CHANNELWISE_MODULES)


def _called(node: fx.Node) -> Callable[..., Any]:
    if isinstance(node.target, str):
        name = node.target
        return lambda value, *args, **kwargs: getattr(value, name)(*args, **kwargs)
    return node.target


def _stacked_layer(module: nn.Module, count: int, *, of_stacked: bool) -> nn.Module | None:
    """The layer for all candidates, its values repeated; None for a module that is no known layer.

    of_stacked: its input differs from candidate to candidate; the images are the same for all.
    """
    layer: nn.Module
    if type(module) is nn.Conv2d:
        shared = not of_stacked and module.groups == 1
        if not of_stacked and not shared:
            return None  # a depthwise layer on the images themselves
        layer = nn.Conv2d(
            module.in_channels * (1 if shared else count),
            module.out_channels * count,
            module.kernel_size,  # type: ignore[arg-type]  # Conv2d keeps pairs
            module.stride,  # type: ignore[arg-type]
            module.padding,  # type: ignore[arg-type]
            module.dilation,  # type: ignore[arg-type]
            module.groups * (1 if shared else count),
            module.bias is not None,
            module.padding_mode,
        )
    elif type(module) is nn.Linear:
        layer = (
            StackedLinear(count, module.in_features, module.out_features, module.bias is not None)
            if of_stacked
            else nn.Linear(module.in_features, module.out_features * count, module.bias is not None)
        )
    elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and of_stacked:
        layer = type(module)(
            module.num_features * count, module.eps, module.momentum, module.affine, module.track_running_stats
        )
    else:
        return None
    state = layer.state_dict()
    for name, value in module.state_dict().items():
        if value.ndim:  # batches counted are the same for all
            value = value.expand(count, *value.shape).reshape(state[name].shape)
        state[name].copy_(value)
    for name, parameter in module.named_parameters():
        layer.get_parameter(name).requires_grad_(parameter.requires_grad)
    return layer


def by_candidate(value: Tensor, count: int) -> Tensor:
    """[b, N c, ...] as [b, N, c, ...]."""
    return value.unflatten(1, (count, -1))  # type: ignore[no-untyped-call, no-any-return]  # untyped in torch


class StackedLinear(nn.Module):
    """A linear layer for each candidate, y_n = x_n W_n^T + b_n; weight [count, out, in], bias [count, out]."""

    bias: nn.Parameter | None

    def __init__(self, count: int, in_features: int, out_features: int, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(count, out_features, in_features))
        self.register_parameter("bias", nn.Parameter(torch.empty(count, out_features)) if bias else None)

    def forward(self, x: Tensor) -> Tensor:
        """[b, count * in] -> [b, count * out]."""
        if x.ndim != 2:
            raise StackingError(f"a linear layer on values of {x.ndim} dimensions cannot be stacked; {_ADVICE}")
        of_each = by_candidate(x, len(self.weight)).transpose(0, 1)
        weights = self.weight.transpose(1, 2)
        y = of_each @ weights if self.bias is None else torch.baddbmm(self.bias.unsqueeze(1), of_each, weights)
        return y.transpose(0, 1).flatten(1)


class _PerCandidate(nn.Module):
    """Any function of tensors, applied to each candidate's values; `stacked` tells which arguments differ."""

    def __init__(self, function: Callable[..., Any], stacked: list[bool], count: int) -> None:
        super().__init__()
        self.function = function
        self.stacked = stacked
        self.count = count

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        leaves, form = pytree.tree_flatten((args, kwargs))
        per_candidate = [by_candidate(x, self.count) for x, on in zip(leaves, self.stacked, strict=True) if on]

        def call(*values: Tensor) -> Any:
            given = iter(values)
            merged = [next(given) if on else x for x, on in zip(leaves, self.stacked, strict=True)]
            arguments, keywords = pytree.tree_unflatten(merged, form)
            return self.function(*arguments, **keywords)

        results: Tensor = torch.vmap(call, in_dims=1, out_dims=1, randomness="different")(*per_candidate)
        return results.flatten(1, 2)


class _OfFirst(nn.Module):
    """A question about a value's shape, asked of the first candidate's."""

    def __init__(self, function: Callable[..., Any], count: int) -> None:
        super().__init__()
        self.function = function
        self.count = count

    def forward(self, value: Tensor, *args: Any) -> Any:
        return self.function(by_candidate(value, self.count)[:, 0], *args)


@torch.no_grad()
def _check(model: nn.Module, network: fx.GraphModule, count: int, images: Tensor) -> None:
    """Every candidate must give the model's logits: torch.fx misreads values that are changed in place."""
    expected = model.eval()(images)
    try:
        logits = network.eval()(images)
    except RuntimeError as error:
        raise StackingError(f"{type(model).__name__} cannot be stacked ({error}); {_ADVICE}") from error
    wanted = expected.repeat(1, count)
    scale = float(expected.abs().max())
    if logits.shape != wanted.shape or not torch.allclose(logits, wanted, rtol=0, atol=_TOLERANCE * scale):
        raise StackingError(
            f"{type(model).__name__} does not give its own logits when stacked; what is random in it must be a module"
            f" such as nn.Dropout, for a trace keeps F.dropout(x, p, self.training) at work; or {_ADVICE}"
        )
