"""Compressed float module -> integer graph."""

from dccdka.lowering.cost import macs, nonzero_macs
from dccdka.lowering.dead_channels import remove_dead_channels
from dccdka.lowering.errors import LoweringError
from dccdka.lowering.lower import lower

__all__ = ["LoweringError", "lower", "macs", "nonzero_macs", "remove_dead_channels"]
