"""Reads calls as layers: `nn.ReLU()`, `F.relu(x)`, `torch.relu(x)` and `x.relu()` are all the layer `Clamp`.

One file reads one family of calls. A reader takes the call and its arguments under torch's names; modules are read by
the functions that they call. What has no reader is refused by name, with what to use instead.
"""

from dccdka.lowering.reading.dispatch import read_layers

__all__ = ["read_layers"]
