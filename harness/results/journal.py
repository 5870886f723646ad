"""The journal: the truth about a study, written before anything else learns of a result.

SQLite by default, any database that SQLAlchemy knows by its URL. Several processes write (the driver and the
trainers), each finished piece of work in one transaction, so that after a kill a piece is there whole or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any, cast, get_args

from sqlalchemy import URL, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from harness.errors import HarnessError, UsageError
from harness.results.database import Database
from harness.results.measurement import Absent, Kind, Measurement, Metric
from harness.results.records import Candidate, DeviceRun, RecipeValues, State, Training
from harness.results.tables import (
    ArtifactRow,
    CandidateRow,
    DeviceRunRow,
    FactRow,
    MeasurementRow,
    TrainingRow,
)


class Journal:
    """Methods raise UsageError naming the journal when it is damaged, or cannot be read or written."""

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self.url = url
        self._database = Database(url, read_only=read_only)

    @staticmethod
    def in_file(path: Path, *, read_only: bool = False) -> Journal:
        """read_only: neither makes the file nor alters it."""
        url = URL.create("sqlite", database=str(path.resolve()))
        return Journal(url.render_as_string(), read_only=read_only)

    @property
    def name(self) -> str:
        """The file, or the URL without its password: for messages."""
        return self._database.name

    def close(self) -> None:
        self._database.close()

    # --- facts of the whole study ---

    def fact(self, key: str) -> dict[str, Any] | None:
        with self._database.session() as session:
            row = session.get(FactRow, key)
            return None if row is None else dict(row.value)

    def set_fact(self, key: str, value: Mapping[str, object]) -> None:
        with self._database.transaction() as session:
            session.merge(FactRow(key=key, value=dict(value)))

    # --- candidates ---

    def propose(self, candidate_id: str, number: int, recipe: RecipeValues) -> None:
        """Writes a new candidate down; number is its place in the order of proposals, from 1."""
        with self._database.transaction() as session:
            session.add(CandidateRow(id=candidate_id, number=number, recipe=dict(recipe), state="proposed"))

    def set_state(self, candidate_id: str, state: State, reason: str | None = None) -> None:
        with self._database.transaction() as session:
            row = _candidate_row(session, candidate_id)
            row.state = state
            row.reason = reason

    def accept(self, candidate_id: str, gate: Mapping[str, object]) -> None:
        """The gate let the candidate pass; gate holds what it found (bytes, seconds)."""
        with self._database.transaction() as session:
            row = _candidate_row(session, candidate_id)
            row.state = "accepted"
            row.reason = None
            row.gate = dict(gate)

    def count_training_start(self, candidate_id: str) -> None:
        """More than one start of a candidate means that the first was cut short."""
        with self._database.transaction() as session:
            _candidate_row(session, candidate_id).training_starts += 1

    def record_training(self, candidate_id: str, training: Training, artifact: bytes) -> bool:
        """Stores a finished training with its artifact. False when there was one already: the first stays."""
        if sha256(artifact).hexdigest() != training.artifact_sha256:
            raise HarnessError(f"candidate {candidate_id}: the artifact's hash is not its content's")
        with self._database.transaction() as session:
            if session.get(TrainingRow, candidate_id) is not None:
                return False
            session.merge(ArtifactRow(sha256=training.artifact_sha256, size=len(artifact), data=artifact))
            session.flush()
            session.add(
                TrainingRow(
                    candidate_id=candidate_id,
                    steps=training.steps,
                    seconds=dict(training.seconds),
                    accuracy_validation=training.accuracy_validation,
                    accuracy_test=training.accuracy_test,
                    artifact_sha256=training.artifact_sha256,
                    notes=list(training.notes),
                )
            )
            row = _candidate_row(session, candidate_id)
            row.state = "trained"
            row.reason = None
            return True

    def candidates(self) -> list[Candidate]:
        """All, in the order in which they were proposed."""
        with self._database.session() as session:
            rows = session.scalars(select(CandidateRow).order_by(CandidateRow.number)).all()
            return [_candidate(session, row) for row in rows]

    def candidate(self, candidate_id: str) -> Candidate:
        """Raises UsageError when there is none of this id."""
        with self._database.session() as session:
            row = session.get(CandidateRow, candidate_id)
            if row is None:
                raise UsageError(f"no candidate {candidate_id!r} in this study; `harness front` lists them")
            return _candidate(session, row)

    # --- artifacts and device runs ---

    def artifact(self, sha: str) -> bytes:
        with self._database.session() as session:
            row = session.get(ArtifactRow, sha)
            if row is None or sha256(row.data).hexdigest() != sha:
                raise UsageError(f"{self.name}: artifact {sha[:12]} is missing or damaged")
            return row.data

    def store_artifact(self, data: bytes) -> str:
        sha = sha256(data).hexdigest()
        with self._database.transaction() as session:
            session.merge(ArtifactRow(sha256=sha, size=len(data), data=data))
        return sha

    def record_run(self, run: DeviceRun) -> bool:
        """False when a run under the very same conditions is journaled already: the first stays."""
        conditions = {
            "artifact_sha256": run.artifact_sha256,
            "profile": run.profile,
            "emulated": run.emulated,
            "firmware": run.firmware,
            "settings": run.settings,
        }
        row = DeviceRunRow(
            **conditions,
            device=run.device,
            verified_inputs=run.verified_inputs,
            seconds=dict(run.seconds),
            absent=[asdict(absent) for absent in run.absent],
            measurements=[_measurement_row(m) for m in run.measurements],
        )
        with self._database.session() as session:
            try:
                with session.begin():
                    session.add(row)
            except IntegrityError:
                # Asking first would leave a gap for another thread. Any other broken rule is a fault.
                if session.scalar(select(DeviceRunRow.id).filter_by(**conditions)) is None:
                    raise
                return False
            return True

    def find_run(self, sha: str, profile: str, emulated: bool, firmware: str, settings: str) -> DeviceRun | None:
        """The run of this artifact under the very same conditions, if there was one: it is not repeated."""
        with self._database.session() as session:
            row = session.scalars(
                select(DeviceRunRow).filter_by(
                    artifact_sha256=sha, profile=profile, emulated=emulated, firmware=firmware, settings=settings
                )
            ).one_or_none()
            return None if row is None else _run(row)


def _one_of(known: tuple[str, ...], found: str) -> str:
    if found not in known:
        raise ValueError(f"{found!r} is none of {', '.join(known)}")
    return found


def _candidate_row(session: Session, candidate_id: str) -> CandidateRow:
    return session.get_one(CandidateRow, candidate_id)


def _measurement_row(m: Measurement) -> MeasurementRow:
    low, high = m.interval if m.interval is not None else (None, None)
    return MeasurementRow(metric=m.metric, value=m.value, kind=m.kind, n=m.n, low=low, high=high, method=m.method)


def _run(row: DeviceRunRow) -> DeviceRun:
    measurements = tuple(
        Measurement(
            device=row.device,
            profile=row.profile,
            metric=cast(Metric, _one_of(get_args(Metric), m.metric)),
            value=float(m.value),
            kind=cast(Kind, _one_of(get_args(Kind), m.kind)),
            n=m.n,
            interval=None if m.low is None or m.high is None else (m.low, m.high),
            method=m.method,
        )
        for m in row.measurements
    )
    return DeviceRun(
        artifact_sha256=row.artifact_sha256,
        profile=row.profile,
        emulated=row.emulated,
        firmware=row.firmware,
        settings=row.settings,
        device=row.device,
        verified_inputs=row.verified_inputs,
        seconds=cast(dict[str, float], row.seconds),
        measurements=measurements,
        absent=tuple(Absent(**cast(dict[str, Any], absent)) for absent in row.absent),
    )


def _candidate(session: Session, row: CandidateRow) -> Candidate:
    training_row = session.get(TrainingRow, row.id)
    training = None
    runs: tuple[DeviceRun, ...] = ()
    if training_row is not None:
        sha = training_row.artifact_sha256
        training = Training(
            steps=training_row.steps,
            seconds=cast(dict[str, float], training_row.seconds),
            accuracy_validation=float(training_row.accuracy_validation),
            accuracy_test=float(training_row.accuracy_test),
            artifact_sha256=sha,
            # Without the content, which may be large: all candidates are read again and again.
            artifact_bytes=session.scalars(select(ArtifactRow.size).filter_by(sha256=sha)).one(),
            notes=tuple(training_row.notes),
        )
        run_rows = session.scalars(select(DeviceRunRow).filter_by(artifact_sha256=sha).order_by(DeviceRunRow.id)).all()
        runs = tuple(_run(run_row) for run_row in run_rows)
    return Candidate(
        id=row.id,
        number=row.number,
        recipe=dict(row.recipe),
        state=cast(State, _one_of(get_args(State), row.state)),
        reason=row.reason,
        gate=row.gate,
        training_starts=row.training_starts,
        training=training,
        runs=runs,
    )
