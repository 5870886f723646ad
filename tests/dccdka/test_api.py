"""What `import dccdka` offers, used as its user would."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import dccdka
from dccdka.datasets import Dataset, DatasetError, Split, make_dataset

Network = Callable[[int], nn.Module]
CONFIG = dccdka.TrainingConfig(epochs=2, batch_size=16, device="cpu")
RECIPE = dccdka.Recipe(temperature=4, final_sparsity=0.6, clusters=8, bits=4)


def test_the_import_is_light_and_every_name_is_there() -> None:
    check = (
        "import sys, dccdka; assert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
        "assert set(dccdka.__all__) <= set(dir(dccdka))\n"
        "for name in dccdka.__all__: getattr(dccdka, name)\n"
        "assert 'ray' not in sys.modules and 'onnxruntime' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", check], check=True, timeout=120)
    with pytest.raises(AttributeError, match="no attribute 'compres'"):
        dccdka.compres  # noqa: B018  # the access is the point


def test_what_a_type_checker_sees_is_what_there_is() -> None:
    tree = ast.parse(Path(dccdka.__file__).read_text(encoding="utf-8"))
    declared = {
        alias.asname: node.module.removeprefix("dccdka.")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("dccdka.")
        for alias in node.names
    }
    assert declared == dccdka._HOMES


class Users(nn.Module):
    """A network as a user writes one: not Sequential, with a frozen part and a function in between."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 5, stride=3)
        self.stem.bias.requires_grad_(False)
        self.head = nn.Linear(4, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(F.relu(self.stem(images)).mean((2, 3)))


def test_compress_takes_any_module_and_its_result_is_packed(tiny: Dataset) -> None:
    torch.manual_seed(0)
    student = Users()
    frozen = student.stem.bias.clone()
    compressed = dccdka.compress(student, tiny, RECIPE, training=CONFIG)
    assert compressed.module is student and not student.training
    assert torch.equal(student.stem.bias, frozen)
    graph = dccdka.lower(compressed, tiny.train.images, tiny.normalization)
    assert len(dccdka.pack(graph)) > 0


class Unlowerable(Users):
    """Computes what int8 devices have no operator for."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.cumsum(super().forward(images), 1)


def test_a_network_without_an_integer_form_is_refused_before_it_is_trained(tiny: Dataset) -> None:
    torch.manual_seed(0)
    student = Unlowerable()
    before = student.head.weight.clone()
    with pytest.raises(dccdka.LoweringError, match="cumsum"):
        dccdka.compress(student, tiny, RECIPE, training=CONFIG)
    assert torch.equal(student.head.weight, before)
    assert dccdka.compress(student, tiny, RECIPE, training=CONFIG, lowered=False).module is student


def test_numbers_that_depend_on_what_is_learnt_refuse_nothing_before_it_is_trained(
    tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_range(*arguments: Any) -> None:
        raise dccdka.LoweringError("random weights, and a rescaling that is too large") from OverflowError()

    monkeypatch.setattr("dccdka.integer_form.lower_all_channels", out_of_range)
    student = Users()
    assert dccdka.compress(student, tiny, RECIPE, training=CONFIG).module is student


class Auxiliary(Users):
    """Gives a second output in training mode, as torchvision's Inception does."""

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:  # type: ignore[override]
        logits = super().forward(images)
        return (logits, logits) if self.training else logits


def test_a_network_of_two_outputs_in_training_is_refused_by_name(tiny: Dataset) -> None:
    with pytest.raises(
        dccdka.NetworkError, match=r"the student: gives a tuple in training mode, .*auxiliary outputs off"
    ):
        dccdka.compress(Auxiliary(), tiny, RECIPE, training=CONFIG, lowered=False)


def test_a_network_that_cannot_be_copied_is_told_what_to_change(tiny: Dataset) -> None:
    class Remembering(Users):
        def forward(self, images: Tensor) -> Tensor:
            self.last = super().forward(images)
            return self.last

    student = Remembering()
    student(torch.zeros(1, 1, 28, 28))
    with pytest.raises(
        dccdka.RecipeError, match=r"^model: cannot be copied: RuntimeError: .*keep no tensors of a forward"
    ):
        dccdka.post_training(student, RECIPE)


@pytest.mark.parametrize("kind", ["module", "list", "logits", "tensor of logits", "ensemble's logits", "none"])
def test_every_kind_of_teacher_teaches(tiny: Dataset, network: Network, kind: str) -> None:
    random = np.random.default_rng(0)
    teacher = {
        "module": network(1),
        "list": [network(1), network(2)],
        "logits": random.normal(size=(128, 10)).astype(np.float32),
        "tensor of logits": torch.randn(128, 10),
        "ensemble's logits": random.normal(size=(3, 128, 10)).astype(np.float32),
        "none": None,
    }[kind]
    compressed = dccdka.compress(network(0), tiny, RECIPE, teacher, training=CONFIG)  # type: ignore[arg-type]
    untaught = dccdka.compress(network(0), tiny, RECIPE, training=CONFIG)
    same = all(np.array_equal(untaught.layers[name].codes, codes.codes) for name, codes in compressed.layers.items())
    assert same == (kind == "none")


def test_data_may_be_named(network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "named_data.py").write_text(
        "import numpy as np\n"
        "def load():\n"
        "    r = np.random.default_rng(0)\n"
        "    x, y = r.integers(0, 256, (6000, 1, 28, 28), np.uint8), np.arange(6000) % 10\n"
        "    return x, y, x[:10], y[:10]\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    seen: list[dccdka.Progress] = []
    dccdka.compress(network(0), "named_data:load", RECIPE, training=CONFIG, on_progress=seen.append)
    assert seen[-1].step == seen[-1].steps == 2 * (1000 // 16)


def test_data_may_be_arrays_in_memory(network: Network) -> None:
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (100, 28, 28), np.uint8), np.arange(100) % 10
    data = make_dataset("mine", Split(images, labels), Split(images[:20], labels[:20]), validation=20)
    assert len(dccdka.compress(network(0), data, RECIPE, training=CONFIG).layers) == 2
    with pytest.raises(DatasetError, match="test set: images must be uint8 pixels, got float64"):
        make_dataset("mine", Split(images, labels), Split(images / 255, labels), validation=20)


def test_the_pieces_make_an_own_loop(tiny: Dataset, network: Network) -> None:
    student, steps = network(0), 24
    images = torch.from_numpy(tiny.train.images).float().sub(tiny.normalization.zero).mul(tiny.normalization.scale)
    labels = torch.from_numpy(tiny.train.labels)
    with torch.no_grad():
        soft = network(1).eval()(images)
    collaboration = dccdka.Collaboration(student, RECIPE, steps)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.05)
    for step in range(steps):
        collaboration.before_step(step)
        optimizer.zero_grad()
        dccdka.distillation_loss(student(images), soft, labels, RECIPE).backward()
        optimizer.step()
    compressed = collaboration.finalize()
    for codes in compressed.layers.values():
        assert len(np.unique(codes.codes)) <= 8
        assert np.mean(codes.codes == codes.zero_point) >= 0.6 - 1 / codes.codes.size
