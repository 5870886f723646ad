"""Firmware that was linked with one model: it stays in flash, brings only what it needs, and takes no other."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dccdka.collaborative import post_training
from dccdka.datasets import load_dataset
from dccdka.export.firmware_image import image_source
from dccdka.lowering import lower
from dccdka.lowering.graph import IntegerGraph, ReLU, Tensor
from dccdka.packing import Artifact, pack, read_artifact, run_reference, to_device_input
from dccdka.recipe import Recipe
from harness.emulators.qemu import QemuBoard
from harness.errors import DeviceLost, ProtocolMismatch
from harness.farm.session import Session

ROOT = Path(__file__).resolve().parents[3]


def built(artifact: Artifact, folder: Path) -> Path:
    """The ELF of firmware of this artifact."""
    model = folder / "model.c"
    model.write_text(image_source(artifact))
    variables = [f"BUILD={folder}", f"MODEL={model}"]
    subprocess.run(["make", "-s", "-C", ROOT / "agents" / "firmware", *variables], check=True)
    return folder / "firmware" / "stm32f405" / "agent.elf"


@pytest.fixture(scope="module")
def one_relu() -> Artifact:
    tensor = Tensor(8, 8, 4, scale=0.1, zero_point=0)
    return read_artifact(pack(IntegerGraph((tensor, tensor), (ReLU(0, 1, 0, 127),), input=0, output=1)))


@pytest.fixture(scope="module")
def session(one_relu: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    firmware = built(one_relu, tmp_path_factory.mktemp("one"))
    with QemuBoard(firmware, "board-7") as board, Session(board.connect(), "board-7") as session:
        yield session


def test_it_computes_its_model_and_links_no_convolution(session: Session, one_relu: Artifact) -> None:
    hello = session.hello()
    assert hello.has_one_model
    assert hello.runtime_code_bytes < 4000  # the smallest convolution is 5316 bytes without its kernel
    session.load(one_relu.data)
    inputs = np.random.default_rng(0).integers(-128, 128, (2, 8, 8, 4)).astype(np.int8)
    for image, expected in zip(inputs, run_reference(one_relu, inputs), strict=True):
        assert session.verify(image.tobytes()) == expected.tobytes()
    assert session.run(0, 1).arena_peak_bytes == one_relu.arena_bytes


def test_another_artifact_is_refused_and_its_own_is_still_taken(session: Session, one_relu: Artifact) -> None:
    session.hello()
    longer = one_relu.data + bytes(4)
    changed = one_relu.data[:-1] + bytes([one_relu.data[-1] ^ 1])
    for other in (longer, changed):
        session.load(one_relu.data)
        with pytest.raises(ProtocolMismatch, match="holds one model, and another was sent"):
            session.load(other)
        with pytest.raises(DeviceLost, match="no artifact"):  # which a Session would not ask without one
            session._ask("input_chunk", 5.0, offset=0, data=bytes(4))
    assert session.load(one_relu.data).arena_bytes == one_relu.arena_bytes


def test_a_model_larger_than_the_memory_runs_from_flash(tmp_path: Path) -> None:
    torch.manual_seed(0)
    dataset = load_dataset("fashion-mnist")
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 10))
    graph = lower(post_training(network, Recipe(1, 0, None, 8)), dataset.train.images[:64], dataset.normalization)
    artifact = read_artifact(pack(graph))
    inputs = to_device_input(dataset.test.images[:2])
    with QemuBoard(built(artifact, tmp_path), "flash") as board, Session(board.connect(), "flash") as session:
        assert session.hello().pool_bytes < len(artifact.data)
        session.load(artifact.data)
        for image, expected in zip(inputs, run_reference(artifact, inputs), strict=True):
            assert session.verify(image.tobytes()) == expected.tobytes()
