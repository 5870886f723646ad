"""A teacher that is trained beside the student: the student learns from what the teacher knows so far."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dccdka.batches import Batch
from dccdka.collaborative import CompressedModel, require_feasible
from dccdka.evaluation import NetworkError, require_trainable
from dccdka.learner import Learner, abandoned_on_failure
from dccdka.network_fingerprint import network_fingerprint
from dccdka.recipe import Recipe, RecipeError
from dccdka.teachers.teacher import Lessons, Teacher, TeacherError, Training


class ParallelTeacher(Teacher):
    """One network or an ensemble, each taking its own step on the labels (Eq. 12) in every step of the student.

    The student learns from the logits that the teacher gives for the batch before its step. recipe: the teachers are
    compressed by it meanwhile; `compressed` holds the results afterwards. Without it the networks given are trained in
    place. Their training is configured as the student's.
    """

    def __init__(self, *networks: nn.Module, recipe: Recipe | None = None) -> None:
        if not networks:
            raise TeacherError("teacher: an ensemble needs at least one network")
        if len(set(networks)) < len(networks):
            raise TeacherError("teacher: a network is in the ensemble twice; give copies of it other weights")
        self.networks = networks
        self.recipe = recipe
        self.compressed: tuple[CompressedModel, ...] = ()

    def prepare(self, training: Training) -> Lessons:
        for number, network in enumerate(self.networks):
            who = _name(number, len(self.networks))
            try:
                require_trainable(network, training.dataset, who)
            except NetworkError as error:
                raise TeacherError(str(error)) from error
            try:
                if self.recipe is not None:
                    require_feasible(network, self.recipe)
            except RecipeError as error:
                raise TeacherError(f"{who}: its recipe: {error}") from error
        return _ParallelLessons(self, training)


class _ParallelLessons(Lessons):
    def __init__(self, teacher: ParallelTeacher, training: Training) -> None:
        self._teacher = teacher
        count = len(teacher.networks)
        self.fingerprint = {
            "parallel": {
                str(number): network_fingerprint(network, training.dataset.image_shape)
                for number, network in enumerate(teacher.networks)
            },
            "recipe": teacher.recipe.to_dict() if teacher.recipe is not None else None,
        }
        self.learners: list[Learner] = []
        with abandoned_on_failure(self.learners):
            for number, network in enumerate(teacher.networks):
                who = _name(number, count)
                self.learners.append(
                    Learner(who, network, training.config, training.device, training.steps, teacher.recipe)
                )

    def logits(self, batch: Batch, step: int) -> Tensor:
        given = []
        for learner in self.learners:
            learner.before_step(step)
            logits = learner(batch.images)
            learner.learn(F.cross_entropy(logits, batch.labels), batch, step)
            given.append(logits.detach())
        return given[0] if len(given) == 1 else torch.stack(given)

    def end(self) -> None:
        self._teacher.compressed = tuple(
            learner.collaboration.finalize() for learner in self.learners if learner.collaboration is not None
        )
        for learner in self.learners:
            learner.model.cpu().eval()


def _name(number: int, count: int) -> str:
    return "teacher" if count == 1 else f"teacher {number}"
