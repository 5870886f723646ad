"""The teacher of a study: trained once, its logits for the whole training set stored once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from safetensors.torch import save_file

from dccdka.datasets import Dataset
from dccdka.progress import Progress
from dccdka.training import DivergedError, teacher_logits, train_teacher
from harness.config import StudyConfig
from harness.errors import UsageError
from harness.results.folder import StudyFolder
from harness.search.preparation import network, training_config


def prepare_teacher(
    config: StudyConfig,
    dataset: Dataset,
    folder: StudyFolder,
    on_progress: Callable[[Progress], None],
    say: Callable[[str], None],
) -> None:
    """Leaves teacher and logits in the folder; does nothing when they are there. Raises UsageError when it diverges."""
    if folder.logits.exists():
        return
    say(f"training the teacher for {config.teacher.training.epochs} epoch(s)")
    teacher = network(config.teacher, dataset, config.seed)
    settings = training_config(config.teacher.training, config)
    try:
        train_teacher(teacher, dataset, settings, on_progress)
    except DivergedError as error:
        raise UsageError(f"teacher.training: {error}; a lower learning_rate helps") from None
    save_file({name: tensor.contiguous() for name, tensor in teacher.state_dict().items()}, folder.teacher)
    # The logits' name appears only when they are whole: a kill in between trains the teacher again.
    unfinished = folder.logits.with_suffix(".part")
    with unfinished.open("wb") as file:
        np.save(file, teacher_logits(teacher, dataset, device=settings.device))
    unfinished.rename(folder.logits)
