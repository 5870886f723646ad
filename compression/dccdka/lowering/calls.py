"""What the traced network calls, with every number that is not one of its tensors known."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from dccdka.collaborative import Layer, compressible_layers
from dccdka.layer_tracer import torch_layer
from dccdka.lowering.errors import LoweringError
from dccdka.lowering.tracing import describe, failures_told

# The network is run on this many images to learn its shapes: on one, squeeze() would take the batch's axis too.
PROBE_IMAGES = 2

_NAMESPACES = (operator, torch, F, torch.special, torch._C._nn)
# What takes only its shape or type from the network, where it is called on a constant.
_OF_A_LIKENESS = {"expand_as", "view_as", "reshape_as", "type_as", "to"}
_IN_PLACE = {f"i{name}" for name in ("add", "sub", "mul", "truediv", "pow")}


@dataclass(frozen=True)
class Call:
    """A call of a module, function or method on the network's tensors, for PROBE_IMAGES images.

    name: of a module its class, of functions and methods their name without a trailing "_" ("relu" for F.relu,
    torch.relu_ and x.relu); "" for functions that are not torch's. args and kwargs hold the network's tensors as nodes
    and all else as values. shape: of one image's result, without n; None where the result is no tensor. layer: path and
    module of the convolution or linear layer that is called, or whose weight a function is called with.
    """

    node: fx.Node
    name: str
    module: nn.Module | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    input_shape: tuple[int, ...]
    shape: tuple[int, ...] | None
    layer: tuple[str, Layer] | None = None

    @property
    def inputs(self) -> tuple[fx.Node, ...]:
        """The network's tensors among the arguments, each once."""
        return _nodes(self.args, self.kwargs)

    @property
    def in_place(self) -> bool:
        """Whether it changes its input's values."""
        if self.module is not None:
            return bool(getattr(self.module, "inplace", False))
        target = self.node.target if isinstance(self.node.target, str) else self.node.target.__name__
        return target.endswith("_") or target in _IN_PLACE or bool(self.kwargs.get("inplace", False))

    def run(self, values: Mapping[fx.Node, Tensor]) -> Any:
        """The result for other values of the tensors; they are not changed in place."""
        args, kwargs = fx.map_arg((self.args, self.kwargs), lambda node: values[node].clone())
        if self.module is not None:
            return self.module(*args, **kwargs)
        if isinstance(self.node.target, str):
            return getattr(args[0], self.node.target)(*args[1:], **kwargs)
        return self.node.target(*args, **kwargs)


@dataclass(frozen=True)
class Calls:
    """The network's input, its calls on tensors that depend on it, in order, and which node its output is.

    result: the network's output for the images that it was run on.
    """

    input: fx.Node
    output: fx.Node
    by_node: dict[fx.Node, Call]
    result: Tensor


@torch.no_grad()
def probe(network: fx.GraphModule, inputs: Tensor, module: nn.Module) -> Calls:
    """Runs the network, traced from the module, on images [PROBE_IMAGES, c, h, w].

    Raises LoweringError where a call fails, or the network takes or returns anything but one tensor.
    """
    prober = _Prober(network, tuple(inputs.shape[1:]), module)
    result = prober.run(inputs.clone())
    (end,) = (node for node in network.graph.nodes if node.op == "output")
    output = end.args[0]
    if not isinstance(output, fx.Node) or (output is not prober.input and output not in prober.calls):
        raise LoweringError("the network returns several values; it must return one tensor")
    return Calls(prober.input, output, prober.calls, result)


class _Prober(fx.Interpreter):
    def __init__(self, network: fx.GraphModule, image_shape: tuple[int, ...], module: nn.Module) -> None:
        super().__init__(network)
        self.extra_traceback = False
        placeholders = [node for node in network.graph.nodes if node.op == "placeholder"]
        # Parameters with defaults keep them; they are no tensors.
        required = [node for node in placeholders if not node.args]
        if len(required) != 1:
            raise LoweringError(f"the network takes {len(required)} tensors; it must take one batch of images")
        self.image_shape = image_shape
        self.layers = {id(layer.weight): (name, layer) for name, layer in compressible_layers(module)}
        self.input: fx.Node = required[0]
        self.calls: dict[fx.Node, Call] = {}

    def run_node(self, n: fx.Node) -> Any:
        args, kwargs = fx.map_arg((n.args, n.kwargs), self._known)
        with failures_told(n, f"images of shape {self.image_shape}"):
            value = super().run_node(n)
        if n.op.startswith("call") and _holds_tensor(value):
            inputs = _nodes(args, kwargs)
            constant = self._name(n) in _OF_A_LIKENESS and not isinstance((*args, None)[0], fx.Node)
            if inputs and not constant:
                # A part of a tuple has no shape of its own; what reads it is refused with the tuple.
                before = self.env[inputs[0]]
                input_shape = tuple(before.shape[1:]) if isinstance(before, Tensor) else ()
                layer = self._layer(self._module(n), args, kwargs)
                shape = self._shape(n, value, inputs)
                self.calls[n] = Call(n, self._name(n), self._module(n), args, kwargs, input_shape, shape, layer)
        return value

    def _known(self, node: fx.Node) -> Any:
        return node if node is self.input or node in self.calls else self.env[node]

    def _module(self, n: fx.Node) -> nn.Module | None:
        return self.fetch_attr(str(n.target)) if n.op == "call_module" else None

    def _layer(
        self, called: nn.Module | None, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[str, Layer] | None:
        weight = getattr(called, "weight", None) if called is not None else kwargs.get("weight", (*args, None, None)[1])
        return self.layers.get(id(weight))

    def _name(self, n: fx.Node) -> str:
        if n.op == "call_module":
            module = self.fetch_attr(str(n.target))
            return (torch_layer(module) or type(module)).__name__
        name = n.target if isinstance(n.target, str) else getattr(n.target, "__name__", "")
        known = isinstance(n.target, str) or any(getattr(space, name, None) is n.target for space in _NAMESPACES)
        name = name.rstrip("_") if known else ""
        return name[1:] if name in _IN_PLACE else name

    def _shape(self, n: fx.Node, value: Any, inputs: tuple[fx.Node, ...]) -> tuple[int, ...] | None:
        if not isinstance(value, Tensor):
            return None
        if value.shape[:1] != (PROBE_IMAGES,):
            # What is made of the parts of a tuple is refused with it, whatever its shape.
            if any(node in self.calls and self.calls[node].shape is None for node in inputs):
                return None
            raise LoweringError(
                f"{describe(n)}: of {PROBE_IMAGES} images it makes a tensor of shape {tuple(value.shape)}; "
                "keep the images apart, along the first axis"
            )
        if value.numel() == 0:
            raise LoweringError(f"{describe(n)}: makes a tensor without values, of shape {tuple(value.shape[1:])}")
        return tuple(value.shape[1:])


def _nodes(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[fx.Node, ...]:
    found: dict[fx.Node, None] = {}
    fx.map_arg((args, kwargs), lambda node: found.setdefault(node))
    return tuple(found)


def _holds_tensor(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return any(_holds_tensor(part) for part in value)
    return isinstance(value, Tensor)
