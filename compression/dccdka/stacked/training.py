"""Trains N candidates of one architecture at once by distillation; see dccdka.stacked for when that pays."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import fields

import torch
from torch import Tensor, nn

from dccdka.arguments import AnyData, AnyTeacher, as_dataset, as_teacher
from dccdka.batches import Batch, Batches
from dccdka.collaborative import CompressedModel
from dccdka.datasets import Dataset
from dccdka.divergence import DivergedError, diverged_after, diverged_at
from dccdka.evaluation import require_trainable
from dccdka.fitting import REPORT_INTERVAL
from dccdka.integer_form import require_integer_form
from dccdka.kinds import kind_of
from dccdka.learning_rate import learning_rate_factor
from dccdka.progress import OnProgress, Progress
from dccdka.recipe import Recipe
from dccdka.stacked.collaboration import StackedCollaboration
from dccdka.stacked.loss import StackedLoss
from dccdka.stacked.network import StackingError, stack_network
from dccdka.stacked.optimizer import StackedAdam
from dccdka.teachers import FixedTeacher, StoredLogits, Training
from dccdka.training_config import TrainingConfig, require_training, resolve_device


def compress_stacked(
    model: nn.Module,
    dataset: AnyData,
    recipes: Sequence[Recipe],
    logits: AnyTeacher,
    training: TrainingConfig | Sequence[TrainingConfig],
    on_progress: OnProgress | None = None,
    *,
    lowered: bool = True,
) -> list[CompressedModel | DivergedError]:
    """Train a student for each recipe, all from the weights of `model`, on the same batches at the same time.

    dataset: as for `compress`. logits: the teacher's, float32 [n_train, classes], of an ensemble [members, n_train,
    classes], stored ones, or a teacher as `compress` takes it that does not change, which is then asked for them.
    training: one for all, or one for each recipe, which may differ in learning_rate alone. on_progress hears of the
    mean loss of the candidates that have not diverged. lowered: as for `compress`.

    Returns by recipe what `compress` gives for it alone, up to float rounding and the draws of the quantisation noise.
    A candidate whose loss becomes infinite or not a number is a DivergedError in its place; the others never notice.
    The model is not altered; torch's global generator is given the training's seed. Raises StackingError for what
    cannot be trained in a stack, naming recipe and field, and what `compress` raises for data, logits and
    configuration.
    """
    _require_recipes(recipes)
    configs = _configs(training, len(recipes))
    dataset = as_dataset(dataset, configs[0].seed)
    teacher = _unchanging(logits)
    steps = configs[0].steps(len(dataset.train.labels))
    require_trainable(model, dataset, "model")
    if lowered:
        require_integer_form(model, dataset, recipes[0])
    stack = _Stack(model, dataset, recipes, teacher, configs, steps)
    stack.train(on_progress)
    return stack.results()


def _require_recipes(recipes: Sequence[Recipe]) -> None:
    if not isinstance(recipes, Sequence) or isinstance(recipes, str):
        raise StackingError(f"recipes: must be a list of Recipe, is {kind_of(recipes)}; give [recipe] for a single one")
    if not recipes:
        raise StackingError("recipes: empty; give one recipe or more")
    for number, recipe in enumerate(recipes):
        if not isinstance(recipe, Recipe):
            raise StackingError(
                f"recipe {number}: must be a Recipe, is {kind_of(recipe)}; dccdka.Recipe.from_dict makes one of plain"
                " values"
            )


def _unchanging(teacher: AnyTeacher) -> StoredLogits | FixedTeacher:
    chosen = as_teacher(teacher)
    if not isinstance(chosen, StoredLogits | FixedTeacher):
        raise StackingError(
            f"logits: must be logits or a teacher that does not change, is {kind_of(teacher)}; train these candidates"
            " one by one with dccdka.compress for another"
        )
    return chosen


def _configs(training: TrainingConfig | Sequence[TrainingConfig], count: int) -> list[TrainingConfig]:
    if not isinstance(training, Sequence):
        training = [training] * count
    for number, config in enumerate(training):
        require_training(config, f"training {number}")
    if len(training) != count:
        raise StackingError(f"training: {len(training)} for {count} recipes; give one for all, or one for each")
    for field in fields(TrainingConfig):
        for number, config in enumerate(training):
            value, first = getattr(config, field.name), getattr(training[0], field.name)
            if field.name != "learning_rate" and value != first:
                raise StackingError(
                    f"training {number}: {field.name}: must be {first!r} as for recipe 0, got {value!r}; only "
                    "learning_rate may differ"
                )
    if training[0].autocast == "fp16":
        raise StackingError('training: autocast: "fp16" cannot be stacked, its loss scale would be shared; use "bf16"')
    if training[0].compile:
        raise StackingError("training: compile: a stack is not compiled; use compile: false")
    return list(training)


class _Stack:
    """One training of all candidates."""

    def __init__(
        self,
        model: nn.Module,
        dataset: Dataset,
        recipes: Sequence[Recipe],
        teacher: StoredLogits | FixedTeacher,
        configs: Sequence[TrainingConfig],
        steps: int,
    ) -> None:
        self.recipes, self.configs = recipes, configs
        self.count = len(recipes)
        self.config = configs[0]
        self.steps = steps
        device = resolve_device(self.config.device)
        self.batches = Batches(
            dataset.train, dataset.normalization, self.config.batch_size, device, self.config.augmentation
        )
        images, _ = next(self.batches.in_order())
        model = copy.deepcopy(model).to(device)
        self.network = stack_network(model, self.count, images[:2]).to(device)
        self.collaboration = StackedCollaboration(self.network, model, recipes, self.steps)
        # After all that may be refused: a teacher may have to look at all the images first.
        self.lessons = teacher.prepare(Training(dataset, self.config, device, self.steps))
        self.loss = StackedLoss(recipes, device)
        self.optimizer = StackedAdam(self.collaboration.weights, self.collaboration.clustering_begins)
        self.first_bad_step = torch.full((self.count,), self.steps, device=device)

    def train(self, on_progress: OnProgress | None) -> None:
        generator = torch.Generator().manual_seed(self.config.seed)
        torch.manual_seed(self.config.seed)
        step = 0
        for epoch in range(self.config.epochs):
            for batch in self.batches.shuffled(generator):
                losses = self._step(step, batch)
                step += 1
                if on_progress is not None and (step % REPORT_INTERVAL == 0 or step == self.steps):
                    mean = losses[self.first_bad_step == self.steps].mean()
                    on_progress(Progress(step, self.steps, epoch, mean.item()))

    def results(self) -> list[CompressedModel | DivergedError]:
        bad_steps = self.first_bad_step.tolist()
        self.collaboration.finalize()
        return [self._result(candidate, bad_step) for candidate, bad_step in enumerate(bad_steps)]

    def _result(self, candidate: int, bad_step: int) -> CompressedModel | DivergedError:
        who = f"candidate {candidate}"
        module = self.collaboration.module_of(candidate)
        if bad_step < self.steps:
            # The weights stay those that the bad loss came from.
            return diverged_at(bad_step, self.steps, who, module.train(), self._images_of(bad_step))
        return diverged_after(self.steps, who, module) or self.collaboration.result_of(candidate)

    def _images_of(self, step: int) -> Tensor:
        """The batch of a step, on the CPU."""
        order = torch.Generator().manual_seed(self.config.seed)
        epoch, position = divmod(step, self.batches.per_epoch)
        plans = [self.batches.plan(order) for _ in range(epoch + 1)]
        return self.batches.take(plans[-1], position).images.cpu()

    def _step(self, step: int, batch: Batch) -> Tensor:
        self.collaboration.before_step(step)
        with torch.autocast(batch.images.device.type, torch.bfloat16, enabled=self.config.autocast == "bf16"):
            logits: Tensor = self.network(batch.images)
        losses = self.loss(logits.float(), self.lessons.logits(batch, step), batch.labels)
        with torch.no_grad():
            bad = torch.where(losses.isfinite(), self.steps, step)
            torch.minimum(self.first_bad_step, bad, out=self.first_bad_step)
        losses.sum().backward()  # type: ignore[no-untyped-call]  # untyped in torch
        self.collaboration.after_backward()
        self.optimizer.step(step, self._rates(step), self.first_bad_step == self.steps)
        return losses.detach()

    def _rates(self, step: int) -> list[float]:
        return [
            config.learning_rate
            * learning_rate_factor(
                step, self.steps, warm_up=recipe.schedule.warm_up, decay_begin=recipe.schedule.pruning_end
            )
            for recipe, config in zip(self.recipes, self.configs, strict=True)
        ]
