"""Data and teachers as a user gives them, made into what a training needs, or refused with what to give instead."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from dccdka.datasets import Dataset, DatasetError, load_dataset
from dccdka.kinds import kind_of
from dccdka.teachers import NetworkTeacher, StoredLogits, Teacher, TeacherError

AnyData = Dataset | str | Path
AnyTeacher = nn.Module | Sequence[nn.Module] | NDArray[np.float32] | Tensor | Teacher | None


def as_dataset(data: AnyData, seed: int) -> Dataset:
    """The data set, loaded with the seed where it is named. Raises DatasetError."""
    if isinstance(data, Dataset):
        return data
    if isinstance(data, str | Path):
        return load_dataset(data, seed=seed)
    raise DatasetError(
        f"data: must be a Dataset, or what load_dataset takes, is {kind_of(data)}; dccdka.datasets.make_dataset makes"
        " one of arrays"
    )


def as_teacher(teacher: AnyTeacher) -> Teacher | None:
    """The teacher of networks or logits; None where a student learns from the labels alone. Raises TeacherError."""
    match teacher:
        case None | Teacher():
            return teacher
        case nn.Module():
            return NetworkTeacher(teacher)
        case np.ndarray():
            return StoredLogits(teacher)
        case Tensor():
            return StoredLogits(teacher.detach().float().cpu().numpy())
        case [*networks] if networks and all(isinstance(network, nn.Module) for network in networks):
            return NetworkTeacher(*networks)
        case []:
            raise TeacherError("teacher: the list of networks is empty; give one or more, or None to learn from labels")
    raise TeacherError(
        f"teacher: must be a module, a list of modules, logits, one of dccdka.teachers or None, is {kind_of(teacher)}"
    )
