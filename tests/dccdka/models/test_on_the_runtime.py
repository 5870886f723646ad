"""Every network lowers, packs and runs in the C runtime with the reference interpreter's bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks import host_runtime
from benchmarks.zoo import NORMALIZATION, RECIPES, is_bit_exact, measure, patterns, untrained, untrained_artifact
from dccdka.lowering import lower, lower_all_channels
from dccdka.models import NETWORKS, build_model
from dccdka.packing import pack, read_artifact, run_reference, to_device_input

# Width and image (c, h, w) at which a network takes a moment.
SMALL = {
    "lenet5": (6, (1, 28, 28)),
    "resnet8": (4, (1, 28, 28)),
    "resnet18": (4, (1, 28, 28)),
    "resnet50": (4, (3, 32, 32)),
    "mobilenetv1": (4, (3, 32, 32)),
    "mobilenetv2": (8, (3, 32, 32)),
    "ds-cnn": (8, (1, 28, 28)),
    "vgg16": (2, (3, 32, 32)),
    "alexnet": (2, (3, 63, 63)),
    "efficientnet-b0": (8, (3, 32, 32)),
    "efficientnet-b3": (8, (3, 28, 28)),
}
PUBLISHED_AND_SMALL = [name for name, network in NETWORKS.items() if network.fixed]


@pytest.fixture(scope="module")
def driver() -> Path:
    return host_runtime.build()


def assert_bit_exact(driver: Path, name: str, width: int | None, shape: tuple[int, int, int], classes: int) -> None:
    """Also without its dead channels, of which the sparsest recipe makes many."""
    torch.manual_seed(0)
    model = build_model(name, width=width, image_shape=shape, classes=classes).eval()
    images = patterns(shape, 4)
    inputs = to_device_input(images)
    assert is_bit_exact(driver, untrained_artifact(model, RECIPES["50%"], images), inputs)
    sparse = untrained(model, RECIPES["90%"], images)
    whole, reduced = (pack(lowered(sparse, images, NORMALIZATION)) for lowered in (lower_all_channels, lower))
    assert len(reduced) <= len(whole)
    for artifact in (whole, reduced):
        expected = run_reference(read_artifact(artifact), inputs)
        assert host_runtime.run(driver, artifact, inputs) == expected.tobytes()


@pytest.mark.parametrize("name", SMALL)
def test_every_family_is_bit_exact_on_small_images(driver: Path, name: str) -> None:
    width, shape = SMALL[name]
    assert_bit_exact(driver, name, width, shape, classes=10)


@pytest.mark.parametrize("name", PUBLISHED_AND_SMALL)
def test_mlperf_tiny_is_bit_exact(driver: Path, name: str) -> None:
    network = NETWORKS[name]
    assert_bit_exact(driver, name, None, network.image_shape, network.classes)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in PUBLISHED_AND_SMALL])
def test_published_sizes_are_bit_exact(name: str) -> None:
    row = measure(name, {"80%": RECIPES["80%"]})
    assert row.recipes["80%"].bit_exact


def test_small_sizes_cover_every_family() -> None:
    assert {*SMALL, *PUBLISHED_AND_SMALL} == set(NETWORKS)
