"""A training that becomes infinite or not a number stops, and names the step and the layer where it began."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from dccdka.collaborative.weights import WeightGroup
from dccdka.datasets import Dataset
from dccdka.divergence import first_bad_layer
from dccdka.learner import Learner
from dccdka.progress import Progress
from dccdka.recipe import Recipe
from dccdka.teachers import ParallelTeacher
from dccdka.training import DivergedError, TrainingConfig, compress, train_teacher

CONFIG = TrainingConfig(epochs=1, batch_size=16, device="cpu")
RECIPE = Recipe(2, 0.5, 8, 4)


class Explosive(nn.Module):
    """Gives infinity from its n-th training batch on, once."""

    def __init__(self, at_call: int) -> None:
        super().__init__()
        self.calls, self.at_call = 0, at_call

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        return x * float("inf") if self.calls >= self.at_call else x


def explosive(*, at_call: int = 10**9) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=4), nn.BatchNorm2d(4), Explosive(at_call), nn.ReLU(), nn.Flatten(), nn.Linear(196, 10)
    )


def test_the_step_and_the_layer_that_began_are_named(tiny: Dataset) -> None:
    with pytest.raises(DivergedError, match="at step 3 of 8: the network: the output of 2 is the first"):
        train_teacher(explosive(at_call=3), tiny, CONFIG)


@pytest.mark.parametrize("recipe", [None, RECIPE], ids=["plain", "compressed"])
def test_weights_that_are_not_finite_are_named_by_their_layer(tiny: Dataset, recipe: Recipe | None) -> None:
    student = explosive()
    nn.init.constant_(student[5].weight, float("nan"))
    with pytest.raises(DivergedError, match=r"at step 1 of 8: .*: the weights of 5 is the first that is not finite"):
        if recipe is None:
            train_teacher(student, tiny, CONFIG)
        else:
            compress(student, tiny, recipe, training=CONFIG)


@pytest.mark.parametrize("clusters", [8, None])
@pytest.mark.parametrize("at", [3, 7], ids=["pruning", "clusters"])
@pytest.mark.parametrize("layer", ["0", "5"])
def test_weights_that_become_infinite_on_the_way_are_named_by_step_and_layer(
    tiny: Dataset, layer: str, at: int, clusters: int | None
) -> None:
    """Of a compressed layer, whatever the weights of that phase are made of."""

    class Ruined(nn.Conv2d):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += self.training
            if self.calls == at:
                for module in student.modules():
                    if isinstance(module, WeightGroup):
                        ruin(module, ["0", "5"].index(layer))
            return super().forward(x)

    def ruin(group: WeightGroup, position: int) -> None:
        with torch.no_grad():
            (group.centroids[position, 1:] if group.shared else group.original(position)).fill_(float("inf"))
            group.update()

    student = explosive()
    student[0] = Ruined(1, 4, 3, stride=4)
    with pytest.raises(DivergedError, match=f"at step {at} of 8: the student: the weights of {layer} is the first"):
        compress(student, tiny, replace(RECIPE, clusters=clusters), training=CONFIG, lowered=False)


def test_where_each_look_would_wait_the_first_bad_step_is_told_later_and_the_weights_stay(
    tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Learner] = []
    real = Learner.__init__

    def looking_seldom(self: Learner, *arguments: object) -> None:
        real(self, *arguments)  # type: ignore[arg-type]
        self.looks_each_step = False
        made.append(self)

    monkeypatch.setattr(Learner, "__init__", looking_seldom)
    student = explosive(at_call=3)
    with pytest.raises(DivergedError, match="at step 3 of 8: the network: the output of 2 is the first"):
        train_teacher(student, tiny, CONFIG)
    # Steps 3 to 8 were refused on the device: nothing has spread into the weights.
    assert all(bool(torch.isfinite(parameter).all()) for parameter in student.parameters())
    assert made[0].model is student


def test_a_learning_rate_that_is_too_high_is_found_by_itself(tiny: Dataset) -> None:
    with pytest.raises(DivergedError, match=r"step \d+ of \d+.* of \S+ is (the first that is )?not finite"):
        train_teacher(explosive(), tiny, replace(CONFIG, epochs=3, learning_rate=1e38))


def test_weights_that_the_last_step_made_infinite_are_noticed_though_no_loss_saw_them(tiny: Dataset) -> None:
    student = explosive()

    def ruin_after_the_last_step(progress: Progress) -> None:
        if progress.step == progress.steps:
            nn.init.constant_(student[5].bias, float("inf"))

    with pytest.raises(DivergedError, match=r"5.bias of the student is not finite after step 8"):
        compress(student, tiny, RECIPE, training=CONFIG, on_progress=ruin_after_the_last_step)


def test_a_teacher_that_diverges_beside_the_student_is_named(tiny: Dataset) -> None:
    teacher = ParallelTeacher(explosive(), explosive(at_call=2))
    with pytest.raises(DivergedError, match="at step 2 of 8: teacher 1: the output of 2"):
        compress(explosive(), tiny, RECIPE, teacher, training=CONFIG)


def test_a_finite_network_has_no_bad_layer() -> None:
    assert first_bad_layer(explosive(), torch.zeros(2, 1, 28, 28)) is None
