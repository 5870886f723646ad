"""What a teacher is to a training: something that gives logits for each of its batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dccdka.batches import Batch
from dccdka.datasets import Dataset, Normalization
from dccdka.learner import Learner
from dccdka.training_config import TrainingConfig


class TeacherError(ValueError):
    """A teacher cannot teach this data; the message names the network or file, what is wrong, and what to do."""


@dataclass(frozen=True)
class Training:
    """The student's training, as a teacher needs to know it; steps are those of the optimiser."""

    dataset: Dataset
    config: TrainingConfig
    device: torch.device
    steps: int


class Lessons(ABC):
    """One teacher's part in one training. fingerprint: plain values that tell it from another teacher's."""

    learners: Sequence[Learner] = ()
    fingerprint: dict[str, Any]

    @abstractmethod
    def logits(self, batch: Batch, step: int) -> Tensor:
        """Logits [n, classes] for the batch of a step, of an ensemble [members, n, classes]; a teacher may learn here.

        Raises DivergedError.
        """

    def end(self) -> None:  # noqa: B027  # most teachers have nothing to do then
        """Called once after the last step."""


class Teacher(ABC):
    """Gives a student its soft targets."""

    @abstractmethod
    def prepare(self, training: Training) -> Lessons:
        """Check that the teacher can teach this data, then make it ready. Raises TeacherError."""


class FixedTeacher(Teacher):
    """A teacher that does not change, so that what it says of every image can be computed once and stored."""

    members: int

    @abstractmethod
    def check(self, dataset: Dataset) -> None:
        """Raises TeacherError unless the teacher takes the images and gives the classes of the data."""

    @abstractmethod
    def move_to(self, device: torch.device) -> None:
        """Compute there from now on."""

    @abstractmethod
    def answer(self, images: Tensor, normalization: Normalization) -> Tensor:
        """Logits [members, n, classes] of normalised images [n, c, h, w]."""

    def prepare(self, training: Training) -> Lessons:
        from dccdka.teachers.stored import StoredLogits  # stored logits are themselves a teacher

        config = training.config
        stored = StoredLogits.compute(
            self, training.dataset, augmentation=config.augmentation, device=training.device.type
        )
        return stored.prepare(training)
