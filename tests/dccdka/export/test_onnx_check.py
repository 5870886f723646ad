"""What the check of an exported model finds: which operator is off, by how much, and no other."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from dccdka.collaborative import post_training
from dccdka.datasets import Normalization
from dccdka.export.errors import ExportError
from dccdka.export.onnx_check import Agreement, network_agreement, operator_agreements, require_agreement
from dccdka.export.onnx_model import onnx_model
from dccdka.lowering import lower
from dccdka.packing import Artifact, pack, read_artifact, to_device_input
from dccdka.packing.narrowing import Images
from dccdka.recipe import Recipe

OPTIMIZED = pytest.mark.parametrize("optimize", [False, True])
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), np.uint8)


class Residual(nn.Module):
    """Whose addition runs inside its second convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 6, 1)
        self.classifier = nn.Linear(6 * 8 * 8, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.first(x).relu()
        result: torch.Tensor = self.classifier((a + self.second(a)).flatten(1))
        return result


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    torch.manual_seed(0)
    compressed = post_training(Residual().eval(), Recipe(1, 0, 256, 8))
    return read_artifact(pack(lower(compressed, IMAGES, Normalization(128, 1 / 64))))


@pytest.fixture(scope="module")
def inputs() -> Images:
    return to_device_input(IMAGES)


def changed(artifact: Artifact, name: str, factor: float, amount: float = 0.0) -> onnx.ModelProto:
    """The artifact's model, a constant of it being multiplied, and then moved by so many steps of its operator."""
    model = onnx_model(artifact, "network")
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    (quantize,) = (node for node in model.graph.node if node.name == name.split("/")[0] + "/codes")
    step = numpy_helper.to_array(constants[quantize.input[1]])
    values = numpy_helper.to_array(constants[name]) * np.float32(factor) + step * np.float32(amount)
    constants[name].CopyFrom(numpy_helper.from_array(values.astype(np.float32), name))
    return model


@OPTIMIZED
def test_the_operator_that_is_off_is_named_and_refused(artifact: Artifact, inputs: Images, optimize: bool) -> None:
    model = changed(artifact, "1_Convolution/bias_fraction", 1, 3)
    found = {alone.name: alone for alone in operator_agreements(model, artifact, inputs, optimize=optimize)}
    off = found.pop("1_Convolution")
    assert off.steps == 3
    assert off.differing > 0.2 * off.values
    assert max(alone.steps for alone in found.values()) <= 1
    with pytest.raises(
        ExportError, match=rf"operator 1_Convolution: .* {off.differing} of its .* up to 3 of 256 steps"
    ):
        require_agreement([*found.values(), off])
    require_agreement(found.values())


def test_an_add_inside_a_convolution_is_checked_apart(artifact: Artifact, inputs: Images) -> None:
    assert len(artifact.operators) == 3
    found = operator_agreements(onnx_model(artifact, "network"), artifact, inputs)
    assert [alone.name for alone in found] == ["0_Convolution", "1_Convolution", "2_Add", "3_Convolution"]
    assert [alone.values for alone in found] == [*[40 * 6 * 8 * 8] * 3, 40 * 7]


def test_what_is_found_in_batches_is_found_in_all(
    artifact: Artifact, inputs: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = changed(artifact, "1_Convolution/bias_fraction", 1, 3)
    at_once = operator_agreements(model, artifact, inputs), network_agreement(model, artifact, inputs)
    monkeypatch.setattr("dccdka.export.onnx_check._BATCH_BYTES", 10_000)
    assert (operator_agreements(model, artifact, inputs), network_agreement(model, artifact, inputs)) == at_once


def test_of_the_whole_network_outputs_and_predictions_are_counted(artifact: Artifact, inputs: Images) -> None:
    same = network_agreement(onnx_model(artifact, "network"), artifact, inputs)
    assert same.outputs == Agreement("network", 0, 0, 40 * 7)
    assert (same.predictions, same.images) == (1.0, 40)
    other = network_agreement(changed(artifact, "3_Convolution/bias_fraction", -1, 40), artifact, inputs)
    assert other.outputs.steps > 1
    assert other.outputs.differing > 40
