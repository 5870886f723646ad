"""Compressed float module -> integer graph."""

from dccdka.lowering.errors import LoweringError
from dccdka.lowering.lower import lower

__all__ = ["LoweringError", "lower"]
