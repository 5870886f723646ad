"""What tells one network from another, whatever its weights: its tensors' shapes and what its forward computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from dccdka.modes import in_eval_mode


def network_fingerprint(model: nn.Module, image_shape: Sequence[int]) -> dict[str, Any]:
    """Plain values: the shape of each tensor, and each call of the forward in eval mode, on an image [c, h, w].

    Not the weights: a training that was interrupted goes on with a network that was made anew, or trained meanwhile.
    What a call is does not depend on the device or the number of threads. The modules' modes stay as they are.
    """
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    return {"model": shapes, "forward": _forward_calls(model, image_shape)}


@torch.no_grad()
def _forward_calls(model: nn.Module, image_shape: Sequence[int]) -> dict[str, str]:
    """By number: name and arguments of each function of torch that the network calls, "relu(#3, inplace=False)".

    Tensors are called by the network's names for them, or by the number of the call that made them.
    """
    parameter = next(model.parameters(), None)
    images = torch.zeros(2, *image_shape, device=parameter.device if parameter is not None else None)
    calls = _Calls({"images": images, **dict(model.named_buffers()), **dict(model.named_parameters())})
    try:
        with in_eval_mode(model), calls:
            model(images)
    except Exception:  # a user's own network, which runs, but not under such eyes: then its shapes have to do
        return {}
    # Numbers that it read from its tensors are among the arguments, and change with the weights.
    return {} if calls.read_values else {str(number): call for number, call in enumerate(calls.seen)}


_READS = {"item", "tolist", "numpy", "__float__", "__int__", "__bool__", "__index__"}


class _Calls(TorchFunctionMode):
    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.read_values = False
        # The tensors are kept, so that no two have one id.
        self._named = {id(tensor): (name, tensor) for name, tensor in tensors.items()}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = [self._written(value) for value in args]
        given += [f"{name}={self._written(value)}" for name, value in (kwargs or {}).items()]
        result = func(*args, **(kwargs or {}))
        made = [leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, Tensor)]
        attribute = func.__name__ == "__get__"
        # Questions for a shape or a device compute nothing.
        if made or not attribute:
            for tensor in made:
                self._named.setdefault(id(tensor), (f"#{len(self.seen)}", tensor))
            name = func.__self__.__name__ if attribute else func.__name__  # type: ignore[attr-defined]  # a descriptor
            self.seen.append(f"{name}({', '.join(given)})")
            self.read_values = self.read_values or name in _READS
        return result

    def _written(self, value: Any) -> str:
        leaves = [self._leaf(leaf) for leaf in pytree.tree_leaves(value)]
        return leaves[0] if len(leaves) == 1 else f"({', '.join(leaves)})"

    def _leaf(self, value: Any) -> str:
        if isinstance(value, Tensor):
            name, _ = self._named.get(id(value), (f"{value.dtype}{list(value.shape)}", value))
            return name
        # Of anything else its text may hold an address, or the device.
        plain = bool | int | float | str | slice | torch.Size | torch.dtype | None
        return repr(value) if isinstance(value, plain) else type(value).__name__
