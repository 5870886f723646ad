"""Models by name: at other sizes than the published ones, wrong choices, and users' own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import fx, nn

from dccdka.models import NETWORKS, ModelError, build_model
from dccdka.models.convolutions import same_conv


@pytest.mark.parametrize("image_shape", [(1, 28, 28), (3, 32, 32), (3, 96, 64), (2, 9, 9)])
@pytest.mark.parametrize("width", [1, 8])
def test_resnet8_gives_logits_for_any_image_size(image_shape: tuple[int, int, int], width: int) -> None:
    model = build_model("resnet8", width=width, image_shape=image_shape, classes=7)
    assert model(torch.zeros(2, *image_shape)).shape == (2, 7)


FAMILIES = [name for name, network in NETWORKS.items() if not network.fixed]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_network_trains_on_the_smallest_image_that_it_takes(name: str) -> None:
    side = NETWORKS[name].smallest_side
    model = build_model(name, width=2, image_shape=(1, side, side + 1), classes=7)
    logits = model(torch.rand(3, 1, side, side + 1))
    assert logits.shape == (3, 7)
    logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("name", [name for name in FAMILIES if NETWORKS[name].smallest_side > 1])
def test_a_smaller_image_is_refused_with_the_smallest_size(name: str) -> None:
    side = NETWORKS[name].smallest_side
    message = (
        f"model '{name}': images must have at least {side}x{side} pixels, these have {side}x{side - 1}; .* resnet8"
    )
    with pytest.raises(ModelError, match=message):
        build_model(name, width=2, image_shape=(1, side, side - 1), classes=7)


@pytest.mark.parametrize("name", FAMILIES)
def test_width_is_that_of_the_first_layer_and_the_published_one_by_default(name: str) -> None:
    def first_channels(width: int | None) -> int:
        with torch.device("meta"):
            model = build_model(name, width=width, image_shape=NETWORKS[name].image_shape, classes=10)
        return next(module.out_channels for module in model.modules() if isinstance(module, nn.Conv2d))

    assert first_channels(None) == NETWORKS[name].width
    assert first_channels(8) == 8


@pytest.mark.parametrize("name", NETWORKS)
def test_torch_fx_traces_every_network(name: str) -> None:
    network = NETWORKS[name]
    with torch.device("meta"):
        model = build_model(name, image_shape=network.image_shape, classes=network.classes)
    graph = fx.symbolic_trace(model)
    assert sum(node.op == "call_module" for node in graph.graph.nodes) > 10


@pytest.mark.parametrize("size", [28, 49, 7])
@pytest.mark.parametrize("kernel", [3, 4, 10])
@pytest.mark.parametrize("stride", [1, 2])
def test_padding_of_tensorflow_puts_the_odd_row_or_column_at_the_end(size: int, kernel: int, stride: int) -> None:
    outputs = -(-size // stride)
    missing = max((outputs - 1) * stride + kernel - size, 0)
    begins = [i * stride - missing // 2 for i in range(outputs)]
    pixels_seen = [min(begin + kernel, size) - max(begin, 0) for begin in begins]
    for window, image in (((kernel, 1), (size, 1)), ((1, kernel), (1, size))):
        conv = same_conv(1, 1, window, image=image, stride=stride)
        for parameter in conv.parameters():
            nn.init.ones_(parameter)
        assert conv(torch.ones(1, 1, *image)).flatten().tolist() == pixels_seen


@pytest.mark.parametrize("spec", ["resnet9", ""])
def test_an_unknown_model_names_the_choices(spec: str) -> None:
    with pytest.raises(ModelError, match=f"model '{spec}' is unknown: use \"module:function\", or one of") as refused:
        build_model(spec, width=8, image_shape=(1, 28, 28), classes=10)
    assert all(f'"{name}"' in str(refused.value) for name in NETWORKS)


@pytest.mark.parametrize(
    ("width", "image_shape", "classes"), [(8, (3, 32, 32), 10), (16, (1, 28, 28), 10), (16, (3, 32, 32), 100)]
)
def test_a_benchmarks_network_comes_in_one_size(width: int, image_shape: tuple[int, int, int], classes: int) -> None:
    with pytest.raises(ModelError, match=r"model 'mlperf-ic': the benchmark's is for images of .*; use resnet8"):
        build_model("mlperf-ic", width=width, image_shape=image_shape, classes=classes)


def test_a_width_that_no_memory_holds_is_refused() -> None:
    with pytest.raises(ModelError, match=r"'resnet8': cannot be built with width \d+ .*; take a smaller width"):
        build_model("resnet8", width=2**50, image_shape=(1, 28, 28), classes=10)


def test_a_width_below_one_is_refused() -> None:
    with pytest.raises(ModelError, match="width must be at least 1, got 0"):
        build_model("resnet8", width=0, image_shape=(1, 28, 28), classes=10)


USERS_MODELS = """
import torch
from torch import nn
def good(*, width, image_shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(image_shape).numel(), classes))
def no_module(*, width, image_shape, classes):
    return 3
def narrow(*, width, image_shape, classes):
    return good(width=width, image_shape=image_shape, classes=classes - 1)
def other_size(*, width, image_shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(7, classes))
def raises(*, width, image_shape, classes):
    raise OSError("no such\\nlayer")
def lacks_keywords(width):
    return nn.Identity()
class Forward(nn.Module):
    def __init__(self, answer):
        super().__init__()
        self.answer = answer
    def forward(self, x):
        return self.answer(x)
def raises_forward(*, width, image_shape, classes):
    return Forward(lambda x: x.no_such_attribute)
def gives_tuple(*, width, image_shape, classes):
    return Forward(lambda x: (x, x))
"""


@pytest.fixture
def users_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "users_models.py").write_text(USERS_MODELS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "users_models"


def test_a_function_in_the_current_folder_gives_a_model(users_module: str) -> None:
    model = build_model(f"{users_module}:good", width=8, image_shape=(1, 5, 5), classes=3)
    assert isinstance(model, nn.Sequential)
    assert model.training


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("no_module", "must return a torch.nn.Module, returned int"),
        ("narrow", r"must give logits of shape \[n, 3\], gave \[1, 2\]"),
        ("other_size", r"fails on an image of shape \(1, 5, 5\)"),
        ("raises", "called with width, image_shape, classes, raises OSError: no such layer"),
        ("lacks_keywords", r"raises TypeError: .*unexpected keyword argument 'image_shape'"),
        ("raises_forward", r"fails on an image of shape \(1, 5, 5\): AttributeError: .*no_such_attribute"),
        ("gives_tuple", r"must give logits, a tensor of shape \[n, 3\], gave tuple"),
        ("nothing", "has no function 'nothing'"),
        ("not a name", "is not of the form module:function"),
    ],
)
def test_a_users_model_that_does_not_fit_is_refused_by_its_name(users_module: str, function: str, message: str) -> None:
    with pytest.raises(ModelError, match=f"model '{users_module}:{function}'.*{message}"):
        build_model(f"{users_module}:{function}", width=8, image_shape=(1, 5, 5), classes=3)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("broken_syntax", "def model(:", "importing 'broken_syntax' raises SyntaxError: "),
        ("fails_at_import", "1 / 0", "importing 'fails_at_import' raises ZeroDivisionError: division by zero"),
        ("ends_at_import", "import sys; sys.exit(0)", "importing 'ends_at_import' raises SystemExit: 0"),
        ("lacks_import", "import no_such_library", "cannot import 'lacks_import' .*No module named 'no_such_library'"),
    ],
)
def test_a_module_that_cannot_be_imported_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, message: str
) -> None:
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModelError, match=f"model '{name}:model': {message}") as refused:
        build_model(f"{name}:model", width=8, image_shape=(1, 5, 5), classes=3)
    assert "\n" not in str(refused.value)
