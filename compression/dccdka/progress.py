"""What a training tells its caller while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """A training after `step` of `steps` optimiser steps, in epoch `epoch` (from 0); loss is the last batch's."""

    step: int
    steps: int
    epoch: int
    loss: float


OnProgress = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """The listener of a training that nobody watches."""
