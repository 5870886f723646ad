"""What Ray runs for a candidate that passed the gate: train, lower, pack, evaluate, journal. It waits for no device."""

from __future__ import annotations

import time
import traceback
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from ray import tune

from dccdka.datasets import Dataset
from dccdka.packing import accuracy, read_artifact
from dccdka.progress import Progress
from dccdka.recipe import Recipe
from dccdka.training import DivergedError, compress
from harness.config import StudyConfig
from harness.errors import NotPackable
from harness.results.folder import StudyFolder
from harness.results.journal import Journal
from harness.results.records import Training
from harness.search.preparation import network, study_dataset, to_artifact, training_config
from harness.search.training_pool import TrainerSettings


def train_candidate(config: dict[str, Any]) -> None:
    """Ray Tune trainable. config: {"candidate": id, "recipe": {...}, "settings": TrainerSettings as a dict}."""
    settings = TrainerSettings(**config["settings"])
    torch.set_num_threads(settings.threads)
    study = StudyConfig.model_validate(settings.study)
    journal = Journal(settings.journal_url)
    candidate = config["candidate"]
    try:
        dataset, logits = _loaded(settings.folder, study.model_dump_json())
        _train(candidate, Recipe.from_dict(config["recipe"]), study, dataset, logits, journal)
    except (DivergedError, NotPackable) as error:
        journal.set_state(candidate, "failed", str(error))
    except Exception as error:
        # Not the candidate's fault: the study stops with this reason, and trains the candidate when it goes on.
        where = traceback.extract_tb(error.__traceback__)[-1]
        journal.set_state(candidate, "accepted", f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})")
        raise
    finally:
        journal.close()


def _train(
    candidate: str,
    recipe: Recipe,
    study: StudyConfig,
    dataset: Dataset,
    logits: npt.NDArray[np.float32],
    journal: Journal,
) -> None:
    steps = tenths = 0

    def report(progress: Progress) -> None:
        nonlocal steps, tenths
        steps = progress.step
        if 10 * progress.step // progress.steps > tenths:
            tenths = 10 * progress.step // progress.steps
            tune.report({"candidate": candidate, "share": progress.step / progress.steps})

    journal.count_training_start(candidate)
    student = network(study.model, dataset, study.seed)
    began = time.monotonic()
    settings = training_config(study.training, study)
    compressed = compress(student, dataset, recipe, logits, training=settings, on_progress=report)
    trained = time.monotonic()
    artifact = to_artifact(compressed, dataset)
    packed = time.monotonic()
    integer_model = read_artifact(artifact)
    validation = accuracy(integer_model, dataset.validation)
    test = accuracy(integer_model, dataset.test)
    journal.record_training(
        candidate,
        Training(
            steps=steps,
            seconds={"train": trained - began, "pack": packed - trained, "evaluate": time.monotonic() - packed},
            accuracy_validation=validation,
            accuracy_test=test,
            artifact_sha256=sha256(artifact).hexdigest(),
            artifact_bytes=len(artifact),
        ),
        artifact,
    )


@lru_cache(maxsize=1)
def _loaded(folder: str, study_json: str) -> tuple[Dataset, npt.NDArray[np.float32]]:
    # A trainer process is reused for many candidates: data and logits are read once.
    dataset = study_dataset(StudyConfig.model_validate_json(study_json))
    logits = np.load(StudyFolder(Path(folder)).logits, mmap_mode="r", allow_pickle=False)
    return dataset, logits
