"""torch.fx with torch's own layers left whole, also those of a user's class that computes what torch's does."""

from __future__ import annotations

from torch import fx, nn

_CONTAINERS = (nn.Module, nn.Sequential, nn.ModuleList, nn.ModuleDict)
# What a subclass must not have changed.
_COMPUTES = ("forward", "_conv_forward")


def torch_layer(module: nn.Module) -> type[nn.Module] | None:
    """The class of torch.nn that a module is, or computes as; None for containers and forwards of their own."""
    kind = type(module)
    base = next(each for each in kind.__mro__ if each.__module__.startswith("torch.nn"))
    same = all(getattr(kind, name, None) is getattr(base, name, None) for name in _COMPUTES)
    return base if same and base not in _CONTAINERS else None


class LayerTracer(fx.Tracer):
    """Makes one node of each call of a torch layer, and looks into all other modules."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return torch_layer(m) is not None or super().is_leaf_module(m, module_qualified_name)
