"""What Ray runs for a candidate that passed the gate: train, lower, pack, evaluate, journal. It waits for no device."""

from __future__ import annotations

import time
import traceback
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from ray import tune

from dccdka.collaborative import CompressedModel
from dccdka.datasets import Dataset
from dccdka.packing import accuracy, read_artifact
from dccdka.progress import Progress
from dccdka.recipe import Recipe
from dccdka.training import DivergedError, compress
from harness.config import StudyConfig
from harness.errors import NotPackable
from harness.results.folder import StudyFolder, journaled_costs
from harness.results.journal import Journal
from harness.results.records import Training
from harness.search.preparation import network, resumed, study_dataset, to_artifact, training_config
from harness.search.teacher import teacher_of
from harness.search.training_pool import TrainerSettings


def train_candidate(config: dict[str, Any]) -> None:
    """Ray Tune trainable. config: {"candidate": id, "recipe": {...}, "settings": TrainerSettings as a dict}."""
    settings = TrainerSettings(**config["settings"])
    torch.set_num_threads(settings.threads)
    study = StudyConfig.model_validate(settings.study)
    journal = Journal(settings.journal_url)
    candidate = config["candidate"]
    try:
        folder = StudyFolder(Path(settings.folder))
        dataset = _dataset(study.model_dump_json())
        _train(candidate, Recipe.from_dict(config["recipe"]), study, dataset, folder, journal)
        folder.checkpoint(candidate).unlink(missing_ok=True)
    except (DivergedError, NotPackable) as error:
        journal.set_state(candidate, "failed", str(error))
        folder.checkpoint(candidate).unlink(missing_ok=True)
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
    folder: StudyFolder,
    journal: Journal,
) -> None:
    tenths = 0

    def report(progress: Progress) -> None:
        nonlocal tenths
        if 10 * progress.step // progress.steps > tenths:
            tenths = 10 * progress.step // progress.steps
            tune.report({"candidate": candidate, "share": progress.step / progress.steps})

    journal.count_training_start(candidate)
    settings = training_config(study.training, study, dataset, "training")

    def train(checkpoint: Path) -> CompressedModel:
        student = network(study.model, dataset, study.seed)
        teacher = teacher_of(study, dataset, folder, recipe)
        return compress(student, dataset, recipe, teacher, training=settings, checkpoint=checkpoint, on_progress=report)

    began = time.monotonic()
    compressed = resumed(folder.checkpoint(candidate), train)
    trained = time.monotonic()
    artifact = to_artifact(compressed, dataset, journaled_costs(journal))
    packed = time.monotonic()
    integer_model = read_artifact(artifact)
    validation = accuracy(integer_model, dataset.validation)
    test = accuracy(integer_model, dataset.test)
    journal.record_training(
        candidate,
        Training(
            steps=settings.steps(len(dataset.train.labels)),
            seconds={"train": trained - began, "pack": packed - trained, "evaluate": time.monotonic() - packed},
            accuracy_validation=validation,
            accuracy_test=test,
            artifact_sha256=sha256(artifact).hexdigest(),
            artifact_bytes=len(artifact),
            notes=compressed.notes,
        ),
        artifact,
    )


@lru_cache(maxsize=1)
def _dataset(study_json: str) -> Dataset:
    # A trainer process is reused for many candidates: the data are read once.
    return study_dataset(StudyConfig.model_validate_json(study_json))
