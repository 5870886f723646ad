"""A network's operators in order, by torch.fx, and the check that they are all that the network does."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from dccdka.datasets import Normalization
from dccdka.function_reference import in_one_line
from dccdka.lowering.errors import LoweringError

_LINE = "users_line"
_TORCH = str(Path(torch.__file__).parent)


def network_input(images: NDArray[np.uint8], normalization: Normalization, module: nn.Module) -> Tensor:
    """What the float network sees of uint8 images [n, c, h, w], where its parameters lie."""
    device = next((parameter.device for parameter in module.parameters()), None)
    pixels = torch.from_numpy(images.astype(np.float32)).to(device)
    return (pixels - normalization.zero) * normalization.scale


def trace(module: nn.Module) -> fx.GraphModule:
    """The traced network; LoweringError if its operators depend on values."""
    tracer = _Tracer()
    try:
        graph = tracer.trace(module)
    except Exception as error:  # of torch.fx where something depends on a value, and whatever the module itself raises
        line = _users_line(reversed(list(traceback.walk_tb(error.__traceback__))))
        raise LoweringError(
            f"{type(module).__name__}{f' ({line})' if line else ''} cannot be traced: its forward fails without values "
            f"({in_one_line(error)}); use fixed control flow, the same for every image"
        ) from error
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


class _Tracer(fx.Tracer):
    """Notes for each node the line of the user's code that made it."""

    def create_node(self, *arguments: Any, **keywords: Any) -> fx.Node:
        node = super().create_node(*arguments, **keywords)
        line = _users_line(traceback.walk_stack(sys._getframe()))
        if line is not None:
            node.meta[_LINE] = line
        return node


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
