"""Refuses data that would not fit in memory, before any of it is read."""

from __future__ import annotations

import os
from pathlib import Path

from dccdka.datasets.dataset import DatasetError


def require_memory(needed: int, source: str, remedy: str) -> None:
    """Raises DatasetError naming the source, the bytes and the remedy if they exceed half of the free memory.

    Half, because splitting the validation images off copies the training images once.
    """
    free = free_memory()
    if needed > free // 2:
        raise DatasetError(
            f"{source}: the images take {needed:,} bytes in memory, more than half of the {free:,} that are free; "
            f"{remedy}"
        )


def free_memory() -> int:
    """Bytes that can be had without swapping (Linux's MemAvailable, see proc(5)); elsewhere all that is installed."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
