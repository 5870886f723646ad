"""Where these tests train: on a stand-in for a GPU."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
import torch

from dccdka import training_config

from .strict_device import NAME, StrictDevice, deep_copy, the_strict_device


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> Iterator[StrictDevice]:
    """What device: "auto" finds in the product, in place of a GPU (see strict_device)."""
    device = the_strict_device()
    device.waits.clear()
    device.operators = 0
    real = training_config.resolve_device
    for module in list(sys.modules.values()):
        if vars(module).get("resolve_device") is real:
            monkeypatch.setattr(module, "resolve_device", lambda name: torch.device("cpu" if name == "cpu" else NAME))
    monkeypatch.setattr(torch.Tensor, "__deepcopy__", deep_copy)
    # The engine counts the devices before a process's first backward pass, which may lie behind us.
    with torch.autograd.set_multithreading_enabled(False):
        yield device
