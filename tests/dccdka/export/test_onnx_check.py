"""What the check of an exported model finds: which operator is off, by how much, and no other."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from dccdka.export.errors import ExportError
from dccdka.export.onnx_check import Agreement, network_agreement, operator_agreements, require_agreement
from dccdka.export.onnx_model import onnx_model
from dccdka.packing import Artifact
from dccdka.packing.narrowing import Images

OPTIMIZED = pytest.mark.parametrize("optimize", [False, True])


@pytest.fixture(scope="module")
def artifact(arguments: dict[str, Any]) -> Artifact:
    artifact: Artifact = arguments["artifact"]
    return artifact


@pytest.fixture(scope="module")
def inputs(artifact: Artifact) -> Images:
    return np.random.default_rng(0).integers(-128, 128, (40, *artifact.input_shape), np.int8)


def changed(artifact: Artifact, name: str, factor: float, amount: float = 0.0) -> onnx.ModelProto:
    """The artifact's model, a constant of it being multiplied, and then moved by so many steps of its operator."""
    model = onnx_model(artifact, "network")
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    step = numpy_helper.to_array(constants[name.split("/")[0] + "/scale"])
    values = numpy_helper.to_array(constants[name]) * np.float32(factor) + step * np.float32(amount)
    constants[name].CopyFrom(numpy_helper.from_array(values.astype(np.float32), name))
    return model


@OPTIMIZED
def test_the_operator_that_is_off_is_named_and_refused(artifact: Artifact, inputs: Images, optimize: bool) -> None:
    model = changed(artifact, "4_Convolution/bias_fraction", 1, 3)
    found = {alone.name: alone for alone in operator_agreements(model, artifact, inputs, optimize=optimize)}
    off = found.pop("4_Convolution")
    assert off.steps == 3
    assert off.differing > 0.2 * off.values
    assert max(alone.steps for alone in found.values()) <= 1
    with pytest.raises(
        ExportError, match=rf"operator 4_Convolution: .* {off.differing} of its .* up to 3 of 256 steps"
    ):
        require_agreement([*found.values(), off])
    require_agreement(found.values())


def test_an_add_inside_a_convolution_is_checked_apart(artifact: Artifact, inputs: Images) -> None:
    found = operator_agreements(onnx_model(artifact, "network"), artifact, inputs)
    assert [alone.name for alone in found[-2:]] == ["11_Convolution", "12_Add"]
    assert [alone.values for alone in found[-2:]] == [40 * artifact.tensors[artifact.output].region.bytes] * 2


def test_what_is_found_in_batches_is_found_in_all(
    artifact: Artifact, inputs: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = changed(artifact, "4_Convolution/bias_fraction", 1, 3)
    at_once = operator_agreements(model, artifact, inputs), network_agreement(model, artifact, inputs)
    monkeypatch.setattr("dccdka.export.onnx_check._BATCH_BYTES", 50_000)
    assert (operator_agreements(model, artifact, inputs), network_agreement(model, artifact, inputs)) == at_once


def test_of_the_whole_network_outputs_and_predictions_are_counted(artifact: Artifact, inputs: Images) -> None:
    same = network_agreement(onnx_model(artifact, "network"), artifact, inputs)
    assert same.outputs == Agreement("network", 0, 0, 40 * 7)
    assert (same.predictions, same.images) == (1.0, 40)
    other = network_agreement(changed(artifact, "11_Convolution/bias_fraction", -1, 40), artifact, inputs)
    assert other.outputs.steps > 1
    assert other.outputs.differing > 40
