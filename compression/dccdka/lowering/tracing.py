"""A network's operators in order, by torch.fx, and the check that they are all that the network does.

The network is traced for images of one size, so its Python code may look at the shapes of its tensors. How many images
there are stays open.
"""

from __future__ import annotations

import math
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from operator import attrgetter
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from dccdka.datasets import Normalization
from dccdka.function_reference import in_one_line
from dccdka.layer_tracer import LayerTracer
from dccdka.lowering.errors import LoweringError

_LINE = "users_line"
_TORCH = str(Path(torch.__file__).parent)


def network_input(images: NDArray[np.uint8], normalization: Normalization, module: nn.Module) -> Tensor:
    """What the float network sees of uint8 images [n, c, h, w], where its parameters lie."""
    device = next((parameter.device for parameter in module.parameters()), None)
    pixels = torch.from_numpy(images.astype(np.float32)).to(device)
    return (pixels - normalization.zero) * normalization.scale


def trace(module: nn.Module, inputs: Tensor) -> fx.GraphModule:
    """The network traced for inputs [n, c, h, w] of any n; LoweringError if its operators depend on values."""
    tracer = _Tracer(inputs.clone())  # the network may change them in place
    try:
        graph = tracer.trace(module)
    except Exception as error:  # of torch.fx where something depends on a value, and whatever the module itself raises
        line = _users_line(reversed(list(traceback.walk_tb(error.__traceback__))))
        place = f"module {tracer.failed_in}" if tracer.failed_in else type(module).__name__
        raise LoweringError(
            f"{place}{f' ({line})' if line else ''} cannot be traced: its forward fails without values "
            f"({in_one_line(error)}); use fixed control flow, the same for every image"
        ) from error
    finally:
        tracer.values.clear()  # the activations of two images, which cycles of references would keep
    return fx.GraphModule(tracer.root, graph, type(module).__name__)


def describe(node: fx.Node) -> str:
    """How errors name a node: the module's path, or the operator's and that of the module around it, and the line."""
    line = f" ({node.meta[_LINE]})" if _LINE in node.meta else ""
    if node.op == "call_module":
        return f"module {node.target}{line}"
    inside = list(node.meta.get("nn_module_stack", {}))
    place = f" in module {inside[-1]}" if inside and inside[-1] else ""
    return f"operator {getattr(node.target, '__name__', node.target)}{place}{line}"


@contextmanager
def failures_told(node: fx.Node, images: str) -> Iterator[None]:
    """Of what torch refuses to compute inside, a LoweringError that names the node and the images it was given."""
    try:
        yield
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        first_line = str(error).strip().split("\n")[0]
        raise LoweringError(f"{describe(node)} fails on {images}: {first_line}") from error


def check_trace(module: nn.Module, inputs: Tensor, traced: Tensor) -> None:
    """LoweringError unless the traced network's outputs of the inputs are the module's.

    torch.fx reads x += y as x + y, which is wrong where x is used again under another name.
    """
    with torch.no_grad():
        same = torch.allclose(module(inputs.clone()), traced, equal_nan=True)
    if not same:
        raise LoweringError(
            f"{type(module).__name__} gives other outputs when its operators are run in order: it changes values in "
            "place that are used elsewhere (write x = x + y for x += y), or draws random numbers"
        )


class _Tracer(LayerTracer):
    """Notes for each node the line of the user's code that made it, and computes it to know its shape.

    failed_in: path of the innermost module that raised; None if it was the network itself.
    """

    def __init__(self, inputs: Tensor) -> None:
        super().__init__()
        self.failed_in: str | None = None
        self.inputs = inputs
        self.values: dict[fx.Node, Any] = {}
        # While a node is computed, modules and parameters are what they are and not traced.
        self._computing = False
        self._input: fx.Proxy | None = None
        self._batch: fx.Proxy | None = None
        # What depends on the images, and so may have another size for another number of them.
        self._of_images: set[fx.Node] = set()

    def create_node(self, *arguments: Any, **keywords: Any) -> fx.Node:
        node = super().create_node(*arguments, **keywords)
        line = _users_line(traceback.walk_stack(sys._getframe()))
        if line is not None:
            node.meta[_LINE] = line
        return node

    def proxy(self, node: fx.Node) -> fx.Proxy:
        self._computing = True
        with suppress(Exception):  # what cannot be computed is told when the trace is run, with its node
            self.values[node] = self._computed(node)
        self._computing = False
        proxy = _Sized(node, self)
        if node.op == "placeholder" and not node.args:
            self._input = proxy
        if node.op == "placeholder" or not self._of_images.isdisjoint(node.all_input_nodes):
            self._of_images.add(node)
        return proxy

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if self._computing:
            return forward(*args, **kwargs)
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception:  # told by `trace`; here its place is noted, the innermost module's first
            self.failed_in = self.failed_in or self.path_of_module(m)
            raise

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, fx.Proxy]) -> Any:
        return attr_val if self._computing else super().getattr(attr, attr_val, parameter_proxy_cache)

    def shape_of(self, proxy: fx.Proxy) -> _Sizes | None:
        """Its sizes; the number of images, where it is the first of them, as torch.fx has it. None where not known."""
        value = self.values.get(proxy.node)
        if not isinstance(value, Tensor):
            return None
        if proxy.node not in self._of_images or value.ndim == 0:
            return _Sizes(value.shape)
        if len(value) != len(self.inputs):
            return _Sizes((self._first_size(proxy), *value.shape[1:]))
        if self._batch is None:
            self._batch = self._first_size(self._input)
        # One and the same for all, so that shapes can be compared.
        return _Sizes((self._batch, *value.shape[1:]))

    def _first_size(self, proxy: fx.Proxy | None) -> fx.Proxy:
        return self.create_proxy("call_method", "size", (proxy, 0), {})

    @torch.no_grad()
    def _computed(self, node: fx.Node) -> Any:
        if node.op == "placeholder":
            return node.args[0] if node.args else self.inputs
        if node.op == "get_attr":
            return attrgetter(str(node.target))(self.root)
        args, kwargs = fx.map_arg((node.args, node.kwargs), self.values.__getitem__)
        if node.op == "call_module":
            return self.root.get_submodule(str(node.target))(*args, **kwargs)
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        return node.target(*args, **kwargs)  # type: ignore[operator]  # a function


class _Sizes(tuple[Any, ...]):
    """A torch.Size one of whose numbers may be a proxy."""

    def numel(self) -> Any:
        return math.prod(self)

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return _Sizes(found) if isinstance(index, slice) else found

    def __add__(self, others: Any) -> _Sizes:
        return _Sizes((*self, *others))


class _Sized(fx.Proxy):
    """A tensor of the trace that knows its shape."""

    tracer: _Tracer

    @property
    def shape(self) -> Any:
        known = self.tracer.shape_of(self)
        return super().__getattr__("shape") if known is None else known

    @property
    def ndim(self) -> Any:
        known = self.tracer.shape_of(self)
        return super().__getattr__("ndim") if known is None else len(known)

    def size(self, dim: int | None = None) -> Any:
        known = self.tracer.shape_of(self)
        if known is None:
            return super().__getattr__("size")(*(() if dim is None else (dim,)))
        return known if dim is None else known[dim]

    def dim(self) -> Any:
        return self.ndim


def _users_line(calls: Iterable[tuple[FrameType, int]]) -> str | None:
    """file:line of the innermost call below `trace` that is neither torch's nor this file's; None if all are.

    calls: frames with their lines, the innermost first.
    """
    for frame, line in calls:
        if frame.f_code is trace.__code__:
            break
        file = frame.f_code.co_filename
        if file != __file__ and not file.startswith((_TORCH, "<")):
            return f"{_from_here(Path(file))}:{line}"
    return None


def _from_here(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
