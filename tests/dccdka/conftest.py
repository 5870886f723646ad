"""What every test of dccdka runs under."""

from __future__ import annotations

import hypothesis
import pytest
import torch

# The first call into torch takes a second on a busy machine; that is no failure.
hypothesis.settings.register_profile("dccdka", deadline=None)
hypothesis.settings.load_profile("dccdka")


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread():
    """torch's threads spin while they wait for each other; on a busy machine that takes minutes instead of seconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
