"""What can go wrong with a measurement."""

from __future__ import annotations


class HostBenchmarkError(Exception):
    """A tool is missing, a program does not build or does not run to its end; the message says which and why."""
