"""A teacher from an ONNX file says what its network says, and a file that does not fit is refused by its tensors."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from dccdka.datasets import Dataset, Normalization
from dccdka.distillation import soft_targets
from dccdka.recipe import Recipe
from dccdka.teachers import OnnxTeacher, TeacherError
from dccdka.teachers.onnx_file import _kind_of
from dccdka.training import TrainingConfig, compress

WEIGHT = torch.randn(10, 784, generator=torch.Generator().manual_seed(0)) / 28
BIAS = torch.randn(10, generator=torch.Generator().manual_seed(1))
NORMALIZATION = Normalization(73, 0.011)


def export(
    path: Path,
    *,
    image: tuple[int | str, ...] = (1, 28, 28),
    batch: int | str = "n",
    classes: int = 10,
    kind: int = TensorProto.FLOAT,
    softmax: bool = False,
    rounded: bool = False,
    pixels: bool = False,
    channels_last: bool = False,
    behind: tuple[int, ...] = (),
) -> Path:
    """A linear classifier, as any framework would write it.

    rounded: to 1/256, as an int8 softmax. pixels: uint8 that the network itself normalises. behind: axes of one number.
    """
    weight = WEIGHT[:classes].numpy().astype(helper.tensor_dtype_to_np_dtype(kind))
    constants = {"weight": weight, "bias": BIAS[:classes].numpy().astype(weight.dtype)}
    nodes: list[onnx.NodeProto] = []
    last = "images"

    def then(operator: str, *constant: str, **attributes: object) -> None:
        nonlocal last
        nodes.append(helper.make_node(operator, [last, *constant], [name := f"{len(nodes)}"], **attributes))
        last = name

    if pixels:
        constants |= {"zero": np.float32(NORMALIZATION.zero), "scale": np.float32(NORMALIZATION.scale)}
        then("Cast", to=TensorProto.FLOAT)
        then("Sub", "zero")
        then("Mul", "scale")
    if channels_last:
        then("Transpose", perm=[0, 3, 1, 2])
    then("Flatten")
    then("Gemm", "weight", "bias", transB=1)
    if softmax:
        then("Softmax")
    if rounded:
        constants |= {"steps": np.float32(256)}
        then("Mul", "steps")
        then("Round")
        then("Div", "steps")
    if behind:
        constants |= {"shape": np.array([-1, classes, *behind])}
        then("Reshape", "shape")
    nodes[-1].output[0] = "probabilities" if softmax else "logits"
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("images", TensorProto.UINT8 if pixels else kind, [batch, *image])],
        [helper.make_tensor_value_info(nodes[-1].output[0], kind, [batch, classes, *behind])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def expected(images: Tensor) -> Tensor:
    return images.flatten(1) @ WEIGHT.T + BIAS


@pytest.mark.parametrize("batch", ["n", 1, 4])
def test_it_says_what_the_network_says_for_any_number_of_images(tmp_path: Path, batch: int | str) -> None:
    teacher = OnnxTeacher(export(tmp_path / "t.onnx", batch=batch))
    images = torch.randn(6, 1, 28, 28)
    torch.testing.assert_close(teacher.answer(images, NORMALIZATION)[0], expected(images), atol=1e-4, rtol=1e-4)


def test_it_sees_pixels_normalised_as_its_user_says(tmp_path: Path) -> None:
    teacher = OnnxTeacher(str(export(tmp_path / "t.onnx")), mean=[127.5], deviation=[63.0])
    pixels = torch.randint(0, 256, (3, 1, 28, 28)).float()
    answer = teacher.answer((pixels - NORMALIZATION.zero) * NORMALIZATION.scale, NORMALIZATION)[0]
    torch.testing.assert_close(answer, expected((pixels - 127.5) / 63), atol=1e-3, rtol=1e-4)


def test_probabilities_teach_what_their_logits_would(tmp_path: Path) -> None:
    teacher = OnnxTeacher(export(tmp_path / "t.onnx", softmax=True))
    images = torch.randn(6, 1, 28, 28)
    torch.testing.assert_close(
        soft_targets(teacher.answer(images, NORMALIZATION), 4.0),
        soft_targets(expected(images), 4.0),
        atol=1e-5,
        rtol=1e-4,
    )


def answers(teacher: OnnxTeacher, dataset: Dataset, count: int = 5) -> tuple[Tensor, Tensor]:
    """What the teacher says of the first images of the data once it was checked, and the logits behind it."""
    teacher.check(dataset)
    pixels = torch.from_numpy(dataset.train.images[:count]).float()
    images = (pixels - dataset.normalization.zero) * dataset.normalization.scale
    return teacher.answer(images, dataset.normalization)[0], expected(images)


def test_probabilities_rounded_to_a_256th_teach_as_probabilities(tmp_path: Path, tiny: Dataset) -> None:
    path = export(tmp_path / "t.onnx", softmax=True, rounded=True)
    said, logits = answers(OnnxTeacher(path), tiny)
    assert float((said.exp().sum(1) - 1).abs().max()) > 1e-3
    torch.testing.assert_close(soft_targets(said, 1.0), logits.softmax(1), atol=0.01, rtol=0)


def test_what_the_output_is_may_be_said_and_is_looked_at_once(tmp_path: Path, tiny: Dataset) -> None:
    softmax, plain = export(tmp_path / "s.onnx", softmax=True), export(tmp_path / "p.onnx")
    said, logits = answers(OnnxTeacher(softmax, output="logits"), tiny)
    torch.testing.assert_close(said, logits.softmax(1), atol=1e-5, rtol=1e-4)
    with pytest.raises(TeacherError, match=r"p\.onnx: output 'logits' is said to be probabilities, but is -.*; use"):
        OnnxTeacher(plain, output="probabilities").check(tiny)
    with pytest.raises(TeacherError, match=r"p\.onnx: output: must be one of logits, probabilities, got 'other'"):
        OnnxTeacher(plain, output="other")  # type: ignore[arg-type]  # that is the test
    # An image whose logits look like probabilities comes from a network that gave logits for others.
    teacher = OnnxTeacher(plain)
    teacher.check(tiny)
    one_hot = torch.linalg.pinv(WEIGHT) @ (torch.eye(10)[3] - BIAS)
    answer = teacher.answer(one_hot.view(1, 1, 28, 28), NORMALIZATION)[0]
    torch.testing.assert_close(answer, torch.eye(10)[3:4], atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    "options",
    [
        {"channels_last": True, "image": (28, 28, 1)},
        {"channels_last": True, "image": ("h", "w", 1)},
        {"behind": (1, 1)},
    ],
    ids=["channels last", "channels last of any size", "axes of one number"],
)
def test_other_frameworks_order_of_axes_is_taken(tmp_path: Path, tiny: Dataset, options: dict[str, Any]) -> None:
    said, logits = answers(OnnxTeacher(export(tmp_path / "t.onnx", **options)), tiny)
    torch.testing.assert_close(said, logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("channels_last", [False, True])
def test_an_input_of_bytes_takes_the_pixels(tmp_path: Path, tiny: Dataset, channels_last: bool) -> None:
    image = (28, 28, 1) if channels_last else (1, 28, 28)
    path = export(tmp_path / "t.onnx", pixels=True, channels_last=channels_last, image=image)
    data = replace(tiny, normalization=NORMALIZATION)
    said, logits = answers(OnnxTeacher(path), data)
    torch.testing.assert_close(said, logits, atol=1e-4, rtol=1e-4)
    with pytest.raises(TeacherError, match=r"t\.onnx: input 'images' takes pixels: leave out mean and deviation"):
        OnnxTeacher(path, mean=[0.0], deviation=[255.0])


def test_a_student_learns_from_it_as_from_the_same_logits(
    tmp_path: Path, tiny: Dataset, network: Callable[[int], nn.Module]
) -> None:
    zero, scale = tiny.normalization.zero, tiny.normalization.scale
    logits = expected((torch.from_numpy(tiny.train.images).float() - zero) * scale).numpy()
    config = TrainingConfig(epochs=2, batch_size=16, device="cpu")
    losses: list[list[float]] = []
    for teacher in (OnnxTeacher(export(tmp_path / "t.onnx")), logits):
        seen: list[float] = []
        recipe = Recipe(4, 0.5, 16, 8, alpha=1.0)
        compress(network(0), tiny, recipe, teacher, training=config, on_progress=lambda p, s=seen: s.append(p.loss))
        losses.append(seen)
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"image": (1, 14, 56)},
            r"input 'images' must be float32 or uint8, \['n', 1, 28, 28\] or \['n', 28, 28, 1\], is tensor.* 14, 56",
        ),
        ({"behind": (1, 2), "classes": 5}, r"output 'logits' must be float32 \['n', 10\], is .*\['n', 5, 1, 2\]"),
        ({"classes": 9}, r"output 'logits' must be float32 \['n', 10\], is tensor\(float\) \['n', 9\]"),
        ({"kind": TensorProto.DOUBLE}, r"input 'images' must be float32 or uint8, .*, is tensor\(double\)"),
    ],
    ids=["image", "axes", "classes", "type"],
)
def test_a_network_that_does_not_fit_the_data_is_refused_by_the_name_of_the_tensor(
    tmp_path: Path, tiny: Dataset, network: Callable[[int], nn.Module], options: dict[str, object], message: str
) -> None:
    teacher = OnnxTeacher(export(tmp_path / "t.onnx", **options))  # type: ignore[arg-type]
    with pytest.raises(TeacherError, match=rf"t\.onnx: {message}"):
        compress(network(0), tiny, Recipe(2, 0.5, 8, 4), teacher, training=TrainingConfig(batch_size=16))


@pytest.mark.parametrize("content", [b"", b"not onnx", bytes(range(200))], ids=["empty", "text", "bytes"])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.onnx").write_bytes(content)
    with pytest.raises(TeacherError, match=r"t\.onnx: "):
        OnnxTeacher(tmp_path / "t.onnx")


def test_a_missing_file_and_half_a_normalisation_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match="no such file"):
        OnnxTeacher(tmp_path / "none.onnx")
    with pytest.raises(TeacherError, match="give both mean and deviation"):
        OnnxTeacher(export(tmp_path / "t.onnx"), mean=[1.0])
    with pytest.raises(TeacherError, match="deviation must be above 0"):
        OnnxTeacher(export(tmp_path / "t.onnx"), mean=[1.0], deviation=[0.0])


def test_without_the_extra_the_command_that_installs_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(TeacherError, match=r"pip install 'dccdka-harness\[onnx\]'"):
        OnnxTeacher(tmp_path / "t.onnx")


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (torch.rand(64, 1000).softmax(1), "probabilities"),
        ((torch.rand(64, 10).softmax(1) * 256).round() / 256, "probabilities"),
        ((torch.rand(64, 10).softmax(1) * 255).floor() / 255, "probabilities"),
        (torch.rand(64, 1000) * 0.003, "logits"),  # between 0 and 1, and of any sum: those of a sigmoid
        (torch.eye(10).repeat(6, 1) * 2, "logits"),
        (torch.randn(64, 10), "logits"),
    ],
)
def test_only_shares_of_one_are_taken_for_probabilities(said: Tensor, kind: str) -> None:
    assert _kind_of(said) == kind
