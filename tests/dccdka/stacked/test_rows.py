"""Every row of a batched function is what the function of one layer gives for it."""

from __future__ import annotations

import pytest
import torch

from dccdka.clustering import assign
from dccdka.pruning import magnitude_mask
from dccdka.stacked import rows

SHARES = [0.0, 0.37, 0.999]


@pytest.fixture
def weights() -> torch.Tensor:
    return torch.randn(3, 50, generator=torch.Generator().manual_seed(0))


def test_masks_keep_the_largest_of_each_row(weights: torch.Tensor) -> None:
    live = torch.tensor([50, 32, 1])
    masks = rows.magnitude_masks(weights, live)
    for row, share in enumerate(SHARES):
        assert torch.equal(masks[row], magnitude_mask(weights[row], share))


def test_each_value_goes_to_the_nearest_centroid_of_its_row_and_never_to_an_unused_one(weights: torch.Tensor) -> None:
    centroids = torch.tensor([[0, -1, 1, 0.5], [0, 2, -2, torch.inf], [0, 0.1, torch.inf, torch.inf]])
    found = rows.nearest(weights, centroids)
    for row, used in enumerate([4, 3, 2]):
        assert torch.equal(found[row], assign(weights[row], centroids[row, :used]))
    distances = (weights.unsqueeze(2) - centroids.unsqueeze(1)).abs()
    assert torch.equal(found, distances.argmin(2))


def test_k_means_ends_where_every_centroid_is_the_mean_of_its_members(weights: torch.Tensor) -> None:
    initial = torch.tensor([[0, -1, 1, 0.5], [0, 2, -2, torch.inf], [0, 0.1, torch.inf, torch.inf]])
    settled = rows.k_means(weights, initial)
    assert torch.all(settled[:, 0] == 0)
    assert torch.equal(settled.isinf(), initial.isinf())
    members = rows.nearest(weights, settled)
    for row, used in enumerate([4, 3, 2]):
        for centroid in range(1, used):
            mean = weights[row][members[row] == centroid].mean()
            torch.testing.assert_close(settled[row, centroid], mean)
