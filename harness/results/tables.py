"""The journal's tables: everything a study has found out, and nothing that could be derived from it."""

from __future__ import annotations

from sqlalchemy import ForeignKey, LargeBinary, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import JSON

# Raise when a table changes: a journal of another version is refused by name instead of misread.
SCHEMA_VERSION = 3


class Base(DeclarativeBase):
    type_annotation_map = {dict[str, object]: JSON, list[dict[str, object]]: JSON, list[str]: JSON}  # noqa: RUF012 - SQLAlchemy's form


class FactRow(Base):
    """One fact of the study as a whole: its config, the data's hash, the reference point, stage times."""

    __tablename__ = "facts"

    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[dict[str, object]]


class CandidateRow(Base):
    """A recipe that was proposed. state: proposed, accepted, trained, then done, refused, failed or unmeasured."""

    __tablename__ = "candidates"

    id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(unique=True)
    recipe: Mapped[dict[str, object]]
    state: Mapped[str]
    reason: Mapped[str | None]
    gate: Mapped[dict[str, object] | None]
    training_starts: Mapped[int] = mapped_column(default=0)


class TrainingRow(Base):
    """A training, finished when result columns are set. One per candidate: the key makes a second one impossible."""

    __tablename__ = "trainings"

    candidate_id: Mapped[str] = mapped_column(ForeignKey("candidates.id"), primary_key=True)
    steps: Mapped[int]
    seconds: Mapped[dict[str, object]]
    accuracy_validation: Mapped[float]
    accuracy_test: Mapped[float]
    artifact_sha256: Mapped[str] = mapped_column(ForeignKey("artifacts.sha256"))
    notes: Mapped[list[str]]


class ArtifactRow(Base):
    """Packed models by the hash of their content."""

    __tablename__ = "artifacts"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column("bytes")
    data: Mapped[bytes] = mapped_column(LargeBinary)


class DeviceRunRow(Base):
    """One artifact run on one device. The unique key is what makes measuring idempotent."""

    __tablename__ = "device_runs"
    __table_args__ = (UniqueConstraint("artifact_sha256", "profile", "emulated", "firmware", "settings"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    artifact_sha256: Mapped[str] = mapped_column(ForeignKey("artifacts.sha256"))
    profile: Mapped[str]
    emulated: Mapped[bool]
    firmware: Mapped[str]
    settings: Mapped[str]
    device: Mapped[str]
    verified_inputs: Mapped[int]
    seconds: Mapped[dict[str, object]]
    absent: Mapped[list[dict[str, object]]]
    measurements: Mapped[list[MeasurementRow]] = relationship(lazy="selectin", cascade="all, delete-orphan")


class MeasurementRow(Base):
    __tablename__ = "measurements"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("device_runs.id"))
    metric: Mapped[str]
    value: Mapped[float]
    kind: Mapped[str]
    n: Mapped[int]
    low: Mapped[float | None]
    high: Mapped[float | None]
    method: Mapped[str]
