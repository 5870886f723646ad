"""The calls of a network in the order in which it makes them, where torch.fx can follow it."""

from __future__ import annotations

from torch import fx, nn

from dccdka.layer_tracer import LayerTracer


class NotTraceable(Exception):
    """torch.fx cannot trace a network; the message is what it, or the network's own code, says of that."""


def traced(model: nn.Module) -> fx.Graph:
    """The graph of the model, whose modules stay calls. Raises NotTraceable."""
    try:
        return LayerTracer().trace(model)
    except Exception as error:  # a user's own code: whatever tracing it raises says why it cannot be traced
        raise NotTraceable(" ".join(str(error).split())[:200]) from error
