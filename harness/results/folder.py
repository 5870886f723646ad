"""The folder of a study: journal, teacher, lock. One process searches it at a time."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dccdka.packing.costs import CostsError, KernelCosts
from harness.config import StudyConfig
from harness.config.complaints import in_plain_words
from harness.errors import UsageError
from harness.results.journal import Journal
from harness.results.objectives import Objectives

# What a later run of the same study may change: it touches neither how candidates are trained nor how they are judged.
_MAY_CHANGE = frozenset({"candidates", "metrics", "inventory", "compute"})


@dataclass(frozen=True)
class StudyFolder:
    """Where a study keeps its files."""

    path: Path

    @property
    def journal(self) -> Path:
        return self.path / "journal.sqlite"

    @property
    def teacher(self) -> Path:
        return self.path / "teacher.safetensors"

    @property
    def logits(self) -> Path:
        return self.path / "teacher_logits.npy"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def checkpoint(self, name: str) -> Path:
        """Where the unfinished training of a candidate, or of a teacher, goes on from."""
        return self.checkpoints / f"{name}.safetensors"

    @property
    def lock(self) -> Path:
        return self.path / "lock"


@contextmanager
def folder_for_search(
    config: StudyConfig, study_file: Path, root: Path, resume: bool
) -> Iterator[tuple[StudyFolder, Journal]]:
    """Creates or continues the study's folder and holds its lock.

    Raises UsageError: the study exists and resume is not asked for, it was begun with other settings, or another
    process is at work on it.
    """
    folder = StudyFolder((root / config.name).resolve())
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        lock = folder.lock.open("a")
    except OSError as error:
        raise UsageError(f"{folder.path}: cannot be written: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"{folder.path}: another process is searching this study; wait for it to end") from None
        if not resume:
            _begin_anew(folder, study_file)
        journal = Journal.in_file(folder.journal)
        try:
            _same_settings(journal, config, study_file)
            yield folder, journal
        finally:
            journal.close()
            # Ray's snapshots of a run are never restored from: the journal is the truth.
            shutil.rmtree(folder.path / "ray", ignore_errors=True)


def _begin_anew(folder: StudyFolder, study_file: Path) -> None:
    """Removes what a start left behind that failed before it had proposed anything. Raises UsageError otherwise."""
    if not folder.journal.exists():
        return
    journal = Journal.in_file(folder.journal)
    try:
        begun = bool(journal.candidates())
    finally:
        journal.close()
    if begun:
        raise UsageError(
            f"{folder.path}: this study exists already; --resume goes on with it, another name in {study_file} or"
            " removing the folder begins anew"
        )
    for file in (*folder.path.glob(f"{folder.journal.name}*"), folder.teacher, folder.logits):
        file.unlink(missing_ok=True)
    shutil.rmtree(folder.checkpoints, ignore_errors=True)


def open_journal(study: str, root: Path) -> Journal:
    """The journal of a study named by name or folder, for reading alone. Raises UsageError when there is none."""
    for folder in (StudyFolder(Path(study)), StudyFolder(root / study)):
        if _is_file(folder.journal):
            return Journal.in_file(folder.journal, read_only=True)
    known = sorted(path.parent.name for path in root.glob("*/journal.sqlite"))
    there = f"; there are: {', '.join(known)}" if known else ""
    raise UsageError(f"no study {study!r} in {root}{there}; `harness search STUDY.yaml` makes one")


def journaled_config(journal: Journal) -> StudyConfig:
    """What the study was last run with. Raises UsageError."""
    fact = journal.fact("config")
    if fact is None:
        raise UsageError(f"{journal.name}: the study has not begun yet; run `harness search`")
    try:
        return StudyConfig.model_validate(fact)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UsageError(f"{journal.name}: the journaled study is damaged: {key}: {in_plain_words(first)}") from None


def journaled_objectives(journal: Journal) -> Objectives:
    """What the study trades against each other, and its reference point. Raises UsageError."""
    fact = journal.fact("objectives")
    if fact is None:
        raise UsageError(f"{journal.name}: the study has not enrolled its devices yet; run `harness search`")
    try:
        return Objectives.from_fact(fact)
    except (KeyError, ValueError) as error:
        raise UsageError(f"{journal.name}: the journaled objectives are damaged: {error}") from None


def journaled_costs(journal: Journal) -> KernelCosts:
    """What the study packs by. Raises UsageError."""
    try:
        return KernelCosts.from_object(journal.fact("kernel_costs"))
    except CostsError as error:
        raise UsageError(f"{journal.name}: the journaled kernel costs are damaged: {error}") from None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # too long for a path, or in a folder that is not ours
        return False


def _same_settings(journal: Journal, config: StudyConfig, study_file: Path) -> None:
    now = config.model_dump(mode="json")
    begun_with = _completed(journal.fact("config"))
    if begun_with is not None:
        different = [key for key in now if key not in _MAY_CHANGE and now[key] != begun_with.get(key)]
        if different:
            raise UsageError(
                f"{study_file}: {', '.join(different)}: differs from what study {config.name!r} was begun with, so its"
                " results could not be compared; give the study another name"
            )
    journal.set_fact("config", now)


def _completed(config: dict[str, Any] | None) -> dict[str, Any] | None:
    """A journaled config with the keys, at their defaults, that were not known yet when it was journaled."""
    if config is None:
        return None
    try:
        return StudyConfig.model_validate(config).model_dump(mode="json")
    except ValidationError:  # a key of that time is no longer known: it stands out as a difference
        return config
