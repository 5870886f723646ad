"""ONNX Runtime computes from an exported model what devices compute from the artifact, but for floating point."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn import functional as F

from dccdka.collaborative import post_training
from dccdka.datasets import load_dataset
from dccdka.export.errors import ExportError
from dccdka.export.onnx_check import network_agreement, operator_agreements, run_onnx
from dccdka.export.onnx_model import onnx_model
from dccdka.export.onnx_residuals import with_separate_adds
from dccdka.lowering import lower
from dccdka.lowering.graph import Convolution, IntegerGraph, Softmax, Tensor
from dccdka.models import build_model
from dccdka.packing import pack, read_artifact, run_reference, to_device_input
from dccdka.packing.conformance import random_graph, random_inputs
from dccdka.recipe import Recipe

DENSE, HALF, SPARSE = Recipe(1, 0, 256, 8), Recipe(1, 0.5, 64, 8), Recipe(1, 0.8, 16, 4)
OPTIMIZED = pytest.mark.parametrize("optimize", [False, True])


class EveryLayer(nn.Module):
    """Strided, depthwise, dilated and pointwise convolutions, an addition, a gate, tables, pools and probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.Hardswish())
        self.depthwise = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.ReLU6())
        self.pointwise = nn.Conv2d(8, 8, 1)
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1), nn.Sigmoid())
        self.dilated = nn.Conv2d(8, 4, 3, padding=2, dilation=2)
        self.pools = nn.Sequential(nn.AvgPool2d(2), nn.ConstantPad2d(1, 0.0), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1))
        self.classifier = nn.Linear(12 * 5 * 5, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.stem(x)
        a = a + self.pointwise(self.depthwise(a))
        a = a * self.gate(a)
        a = self.pools(torch.cat([a, F.relu(self.dilated(a))], 1))
        return self.classifier(a.flatten(1)).softmax(1)


def seen(dataset, images):
    return (torch.from_numpy(images.astype(np.float32)) - dataset.normalization.zero) * dataset.normalization.scale


@pytest.fixture(scope="module")
def dataset():
    return load_dataset("fashion-mnist")


@pytest.fixture(scope="module")
def trained(dataset):
    """Trains a network for 100 steps, once."""
    known = {}

    def train(name):
        if name not in known:
            torch.manual_seed(0)
            model = (
                EveryLayer()
                if name == "every layer"
                else build_model(name, width=8, image_shape=(1, 28, 28), classes=10)
            )
            optimizer = torch.optim.Adam(model.parameters(), 3e-3)
            for begin in range(0, 6400, 64):
                images, labels = dataset.train.images[begin : begin + 64], dataset.train.labels[begin : begin + 64]
                optimizer.zero_grad()
                outputs = model(seen(dataset, images))
                log_shares = outputs.clamp_min(1e-6).log() if name == "every layer" else outputs.log_softmax(1)
                F.nll_loss(log_shares, torch.from_numpy(labels)).backward()
                optimizer.step()
            known[name] = model.eval()
        return known[name]

    return train


@pytest.fixture(scope="module")
def integers(dataset, trained):
    """The artifact of a trained network under a recipe."""

    def pack_trained(name, recipe):
        compressed = post_training(trained(name), recipe)
        return read_artifact(pack(lower(compressed, dataset.train.images[:256], dataset.normalization)))

    return pack_trained


LARGER = [
    pytest.param(name, recipe, marks=pytest.mark.slow)
    for name in ("mobilenetv1", "mobilenetv2")
    for recipe in (DENSE, HALF)
]
NETWORKS = [("resnet8", SPARSE), ("resnet8", DENSE), ("ds-cnn", HALF), ("ds-cnn", DENSE)]


@OPTIMIZED
@pytest.mark.parametrize(("name", "recipe"), [("every layer", SPARSE), *NETWORKS, *LARGER])
def test_every_operator_of_a_trained_network_alone(dataset, integers, name, recipe, optimize):
    """Of millions of values one or another may lie so near to a half that 24 bits round it to the other side."""
    artifact = integers(name, recipe)
    inputs = to_device_input(dataset.test.images[:200])
    found = operator_agreements(onnx_model(artifact, "network"), artifact, inputs, optimize=optimize)
    artifact = with_separate_adds(artifact)
    for operator, alone in zip(artifact.operators, found, strict=True):
        assert alone.values == 200 * artifact.tensors[operator.output].region.bytes
        assert alone.steps <= 1, alone
        if not isinstance(operator, Softmax):
            assert alone.differing <= 2, alone


@OPTIMIZED
@pytest.mark.parametrize(("name", "recipe"), [*NETWORKS, *LARGER])
def test_a_trained_network_on_real_images(dataset, integers, name, recipe, optimize):
    """In a network of fifty layers the one value that rounds otherwise may spread; it does in hardly any image."""
    artifact = integers(name, recipe)
    inputs = to_device_input(dataset.test.images[:1000])
    found = network_agreement(onnx_model(artifact, "network"), artifact, inputs, optimize=optimize)
    assert found.outputs.values == 10_000
    assert found.outputs.steps <= 1 or name == "mobilenetv2"
    assert found.outputs.differing <= 30
    assert found.predictions >= 0.999
    assert len(np.unique(run_reference(artifact, inputs), axis=0)) > 900


@OPTIMIZED
def test_with_whole_biases_an_operator_is_off_by_a_step(dataset, integers, optimize):
    """What the exactness above is due to."""
    artifact = integers("resnet8", DENSE)
    model = onnx_model(artifact, "network", whole_biases=True)
    found = operator_agreements(model, artifact, to_device_input(dataset.test.images[:50]), optimize=optimize)
    assert {alone.steps for alone in found} == {0, 1}
    assert sum(alone.differing for alone in found) > 50


def test_a_fraction_of_more_than_half_a_step_is_never_left_out():
    """As where a step of the products is larger than one of the output."""
    steps, left_out = set(), Counter[bool]()
    for seed in range(60):
        generator = np.random.default_rng(seed)
        graph = random_graph(generator, operators=1)
        if isinstance(graph.operators[0], Convolution):
            artifact = read_artifact(pack(graph))
            model = onnx_model(artifact, "operator", whole_biases=True)
            steps |= {alone.steps for alone in operator_agreements(model, artifact, random_inputs(generator, graph, 8))}
            left_out[any("bias_fraction" in constant.name for constant in model.graph.initializer)] += 1
    assert steps == {0, 1}
    assert min(left_out[False], left_out[True]) > 0


@pytest.mark.parametrize("whole_biases", [False, True])
def test_onnx_runtime_computes_in_integers_where_biases_are_whole(integers, tmp_path, whole_biases):
    model = onnx_model(integers("resnet8", DENSE), "network", whole_biases=whole_biases)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    kinds = Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)
    assert (kinds["QLinearConv"], kinds["Conv"] + kinds["FusedConv"]) == ((10, 0) if whole_biases else (0, 10))


@OPTIMIZED
def test_probabilities_are_within_a_step(dataset, integers, optimize):
    artifact = integers("every layer", SPARSE)
    inputs = to_device_input(dataset.test.images[:1000])
    found = network_agreement(onnx_model(artifact, "network"), artifact, inputs, optimize=optimize)
    assert found.outputs.steps <= 1
    assert found.outputs.differing < 0.02 * found.outputs.values


@OPTIMIZED
def test_random_operators_alone(optimize):
    """With what trained networks seldom have: the very same but for the exponentials of softmax, which are a table."""
    kinds: Counter[str] = Counter()
    for seed in range(150):
        generator = np.random.default_rng(seed)
        graph = random_graph(generator, operators=1)
        artifact = read_artifact(pack(graph))
        model = onnx_model(artifact, "operator")
        inputs = random_inputs(generator, graph, 8)
        kinds.update(type(operator).__name__ for operator in graph.operators)
        for alone in operator_agreements(model, artifact, inputs, optimize=optimize):
            softmax = alone.name.endswith("Softmax")
            assert alone.steps <= 1, f"seed {seed}: {alone}"
            assert alone.differing <= (0.01 * alone.values if softmax else 1), f"seed {seed}: {alone}"
        whole = network_agreement(model, artifact, inputs, optimize=optimize).outputs
        assert whole.steps <= 1, f"seed {seed}"
    assert len(kinds) == 11


def test_the_model_is_quantised_as_onnx_tools_expect_it(integers):
    artifact = integers("resnet8", DENSE)
    model = onnx_model(artifact, "network")
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    producers = {output: node for node in model.graph.node for output in node.output}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 10
    for node in convolutions:
        data, weights, bias = (producers[name] for name in node.input)
        assert {data.op_type, weights.op_type, bias.op_type} == {"DequantizeLinear"}
        codes, scales, zero_points = (constants[name] for name in weights.input)
        assert codes.dtype == zero_points.dtype == np.uint8
        assert len(scales) == len(codes)
        assert len(np.unique(zero_points)) == 1
        assert constants[bias.input[0]].dtype == np.int32
        np.testing.assert_array_equal(constants[bias.input[1]], scales * constants[data.input[1]])


def test_it_reads_what_the_trained_network_reads(dataset, trained, integers):
    artifact = integers("resnet8", DENSE)
    images = dataset.test.images[:500]
    outputs = run_onnx(onnx_model(artifact, "network"), artifact, to_device_input(images))
    with torch.no_grad():
        floats = trained("resnet8")(seen(dataset, images))
    assert (outputs.reshape(500, 10).argmax(1) == floats.argmax(1).numpy()).mean() > 0.97


def test_the_model_says_which_artifact_it_is(arguments):
    artifact = arguments["artifact"]
    model = onnx_model(artifact, "network")
    assert {entry.key: entry.value for entry in model.metadata_props}["artifact_sha256"] == artifact.sha256
    assert [entry.version for entry in model.opset_import] == [13]
    onnx.checker.check_model(model, full_check=True)


def test_a_softmax_that_onnx_cannot_say_is_refused_by_name():
    exponentials = np.linspace(2**15, 0, 256).astype(np.uint16)  # a straight line
    tensors = (Tensor(1, 1, 10, 0.1, 0), Tensor(1, 1, 10, 1 / 256, -128))
    artifact = read_artifact(pack(IntegerGraph(tensors, (Softmax(0, 1, exponentials),), input=0, output=1)))
    with pytest.raises(ExportError, match=r"operator 0 \(softmax\): .* export C instead"):
        onnx_model(artifact, "network")
