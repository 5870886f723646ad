"""Why a graph cannot be packed."""

from __future__ import annotations


class PackingError(Exception):
    """The graph cannot be an artifact: a size beyond the format's limits, or a sum that may overflow."""
