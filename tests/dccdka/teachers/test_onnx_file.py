"""A teacher from an ONNX file says what its network says, and a file that does not fit is refused by its tensors."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from dccdka.datasets import Dataset, Normalization
from dccdka.distillation import soft_targets
from dccdka.recipe import Recipe
from dccdka.teachers import OnnxTeacher, TeacherError
from dccdka.training import TrainingConfig, compress

WEIGHT = torch.randn(10, 784, generator=torch.Generator().manual_seed(0)) / 28
BIAS = torch.randn(10, generator=torch.Generator().manual_seed(1))
NORMALIZATION = Normalization(73, 0.011)


def export(
    path: Path,
    *,
    image: tuple[int, ...] = (1, 28, 28),
    batch: int | str = "n",
    classes: int = 10,
    kind: int = TensorProto.FLOAT,
    softmax: bool = False,
) -> Path:
    """A linear classifier, as any framework would write it."""
    weight = WEIGHT[:classes].numpy().astype(helper.tensor_dtype_to_np_dtype(kind))
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weight", "bias"], ["logits"], transB=1),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["logits"], ["probabilities"]))
    output = "probabilities" if softmax else "logits"
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("images", kind, [batch, *image])],
        [helper.make_tensor_value_info(output, kind, [batch, classes])],
        [
            numpy_helper.from_array(weight, "weight"),
            numpy_helper.from_array(BIAS[:classes].numpy().astype(weight.dtype), "bias"),
        ],
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
        ({"image": (28, 28, 1)}, r"input 'images' must be float32 \['n', 1, 28, 28\], is .*channels first"),
        ({"classes": 9}, r"output 'logits' must be float32 \['n', 10\], is tensor\(float\) \['n', 9\]"),
        ({"kind": TensorProto.DOUBLE}, r"input 'images' must be float32 .*, is tensor\(double\)"),
    ],
    ids=["channels last", "classes", "type"],
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
