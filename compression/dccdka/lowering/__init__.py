"""Compressed float module -> integer graph."""

from dccdka.lowering.cost import macs, nonzero_macs
from dccdka.lowering.dead_channels import remove_dead_channels
from dccdka.lowering.errors import LoweringError
from dccdka.lowering.lower import lower, lower_all_channels

__all__ = ["LoweringError", "lower", "lower_all_channels", "macs", "nonzero_macs", "remove_dead_channels"]
