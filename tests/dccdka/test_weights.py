"""A network is filled from safetensors of its own, and never from a pickle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dccdka.weights import WeightsError, load_weights

Network = Callable[[int], nn.Module]


def test_weights_come_back_from_their_file(tmp_path: Path, network: Network) -> None:
    saved, fresh = network(1), network(2)
    save_file(saved.state_dict(), tmp_path / "w.safetensors")
    load_weights(fresh, tmp_path / "w.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(saved.state_dict().values(), fresh.state_dict().values(), strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"0.bias": None}, "has no 0.bias, which the network needs"),
        ({"0.weight": torch.zeros(4, 1, 5, 5)}, r"0.weight has the shape \[4, 1, 5, 5\], the network's \[4, 1, 3, 3\]"),
        ({"9.weight": torch.zeros(1)}, "has 9.weight, which the network does not"),
        ({"4.bias": torch.full((10,), float("nan"))}, "4.bias holds values that are not finite"),
    ],
    ids=["missing", "shape", "unknown", "nan"],
)
def test_weights_of_another_network_are_refused(
    tmp_path: Path, network: Network, change: dict[str, torch.Tensor | None], message: str
) -> None:
    state = {**network(1).state_dict(), **change}
    save_file({name: tensor for name, tensor in state.items() if tensor is not None}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=rf"w\.safetensors: {message}"):
        load_weights(network(2), tmp_path / "w.safetensors")


def test_a_pickled_checkpoint_is_not_opened(tmp_path: Path, network: Network) -> None:
    torch.save(network(1).state_dict(), tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"w\.pt: not a safetensors file"):
        load_weights(network(2), tmp_path / "w.pt")
