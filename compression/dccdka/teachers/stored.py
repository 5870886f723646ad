"""Logits that a teacher gave once for the whole training split, in memory or in a file.

The temperature only divides logits, so they serve every recipe. With augmentation they are stored for each variant.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import tempfile
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dccdka.augmentation import Augmentation, variants_of
from dccdka.batches import Batch, Batches
from dccdka.datasets import Dataset, Split
from dccdka.evaluation import EVALUATION_BATCH
from dccdka.teachers.teacher import FixedTeacher, Lessons, Teacher, TeacherError, Training
from dccdka.training_config import resolve_device

# A larger file is not read into memory but mapped, and its logits are not kept on a GPU.
MAPPED_FROM_BYTES = 256 * 1024 * 1024
_FINGERPRINT_ROWS = 1024

StoredType = Literal["float16", "float32"]


class StoredLogits(Teacher):
    """values: float16 or float32 [variants, members, n, classes], n being the training split in its order.

    augmentation: whose variants they are; training_sha256: `split_sha256` of that training split, None if not known.
    Raises TeacherError when the values cannot be those.
    """

    def __init__(
        self, values: NDArray[Any], *, augmentation: Augmentation = "none", training_sha256: str | None = None
    ) -> None:
        if values.dtype.name not in get_args(StoredType):
            raise TeacherError(f"logits: must be float32 or float16, are {values.dtype}")
        if values.ndim == 2:
            values = values[np.newaxis, np.newaxis]
        if values.ndim == 3:
            values = values[np.newaxis]
        variants = len(variants_of(augmentation))
        if values.ndim != 4 or values.shape[0] != variants:
            raise TeacherError(
                f"logits: expected [{variants} variants, members, n, classes] for augmentation {augmentation!r}, got "
                f"{list(values.shape)}"
            )
        self.values = values
        self.augmentation = augmentation
        self.training_sha256 = training_sha256

    @classmethod
    def compute(
        cls,
        teacher: FixedTeacher,
        dataset: Dataset,
        *,
        augmentation: Augmentation = "none",
        device: str = "auto",
        dtype: StoredType = "float32",
        path: Path | None = None,
    ) -> Self:
        """What the teacher says of every variant of every training image; with a path, written there as .npy.

        Beside the file, PATH.json says whose logits they are. The file appears when it is whole. Without a path large
        logits are in a temporary file that is mapped and has no name. Raises TeacherError, also where there is no room
        for a file, and TrainingConfigError for a device that is not there.
        """
        target = resolve_device(device)
        teacher.check(dataset)
        variants = variants_of(augmentation)
        shape = (len(variants), teacher.members, len(dataset.train.labels), dataset.classes)
        about = {"augmentation": augmentation, "training_sha256": split_sha256(dataset.train)}
        if path is None:
            values = _room_for(shape, np.dtype(dtype))
            _fill(values, teacher, dataset, augmentation, target)
            return cls(values, **about)  # type: ignore[arg-type]  # as made above
        _require_room(path.parent, math.prod(shape) * np.dtype(dtype).itemsize)
        unfinished = path.with_name(path.name + ".part")
        path.unlink(missing_ok=True)
        _about(path).write_text(json.dumps(about), encoding="utf-8")
        mapped = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.dtype(dtype), shape=shape)
        _fill(mapped, teacher, dataset, augmentation, target)
        mapped.flush()
        unfinished.replace(path)
        return cls.load(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """A file that `compute` wrote, or any .npy of logits without PATH.json; a large one is mapped, not read.

        Raises TeacherError naming the file.
        """
        try:
            # Copy on write: torch wants an array that could be written to; the file stays as it is.
            values = np.load(path, mmap_mode="c", allow_pickle=False)
            if path.stat().st_size <= MAPPED_FROM_BYTES:
                values = np.array(values)
            about = json.loads(_about(path).read_text(encoding="utf-8")) if _about(path).exists() else {}
        except (OSError, ValueError, EOFError, RecursionError) as error:
            raise TeacherError(f"{path}: not logits that can be read: {error}; store them again") from error
        if not isinstance(values, np.ndarray) or not isinstance(about, dict):
            raise TeacherError(f"{path}: not logits, or {_about(path).name} is damaged; store them again")
        augmentation = about.get("augmentation", "none")
        if augmentation not in get_args(Augmentation):
            raise TeacherError(f"{_about(path)}: knows no augmentation {augmentation!r}; store the logits again")
        try:
            return cls(values, augmentation=augmentation, training_sha256=about.get("training_sha256"))
        except TeacherError as error:
            raise TeacherError(f"{path}: {error}") from error

    def prepare(self, training: Training) -> Lessons:
        self._check(training.dataset, training.config.augmentation)
        return _StoredLessons(self.values, training.device)

    def _check(self, dataset: Dataset, augmentation: Augmentation) -> None:
        _, _, n, classes = self.values.shape
        if (n, classes) != (len(dataset.train.labels), dataset.classes):
            raise TeacherError(
                f"logits: expected [{len(dataset.train.labels)}, {dataset.classes}], got [{n}, {classes}]"
            )
        if self.augmentation != augmentation:
            raise TeacherError(
                f"logits: were stored for augmentation {self.augmentation!r}, the training asks for {augmentation!r};"
                " store them for that"
            )
        if self.training_sha256 is not None and self.training_sha256 != split_sha256(dataset.train):
            raise TeacherError(
                f"logits: were stored for another training split than {dataset.name}'s (another hash); store them again"
            )
        for variant in self.values:
            for member, logits in enumerate(variant):
                rows = np.flatnonzero(~np.isfinite(logits).all(1))
                if len(rows):
                    raise TeacherError(
                        f"logits: of image {rows[0]} by teacher {member} are not finite ({len(rows)} such images)"
                    )


class _StoredLessons(Lessons):
    def __init__(self, values: NDArray[Any], device: torch.device) -> None:
        table = torch.from_numpy(values)
        self._device = device
        self._on_host = device.type == "cpu" or values.nbytes > MAPPED_FROM_BYTES
        self._table = table if self._on_host else table.to(device)
        rows = np.linspace(0, values.shape[2] - 1, min(_FINGERPRINT_ROWS, values.shape[2]), dtype=np.int64)
        sample = np.ascontiguousarray(values[:, :, rows])
        self.fingerprint = {"logits": list(values.shape), "sha256": hashlib.sha256(sample.tobytes()).hexdigest()}

    def logits(self, batch: Batch, step: int) -> Tensor:
        indices = batch.host_indices if self._on_host else batch.indices
        logits = self._table[batch.variant][:, indices].to(self._device, torch.float32, non_blocking=True)
        return logits[0] if len(logits) == 1 else logits


def split_sha256(split: Split) -> str:
    """Hash of a split's pixels and labels in their order, hexadecimal."""
    digest = hashlib.sha256(repr(split.images.shape).encode())
    digest.update(np.ascontiguousarray(split.images).data)
    digest.update(np.ascontiguousarray(split.labels).data)
    return digest.hexdigest()


def _room_for(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    needed = math.prod(shape) * dtype.itemsize
    if needed <= MAPPED_FROM_BYTES:
        return np.empty(shape, dtype)
    _require_room(Path(tempfile.gettempdir()), needed)
    with tempfile.TemporaryFile(prefix="logits") as file:
        return np.memmap(file, dtype, mode="w+", shape=shape)


def _require_room(folder: Path, needed: int) -> None:
    """A mapped file that the disk runs out under ends the process, without an exception."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise TeacherError(f"{folder}: cannot hold logits: {error.strerror}; make it first") from error
    if needed > free:
        raise TeacherError(f"{folder}: the logits take {needed:,} bytes, {free:,} are free; free some, or use float16")


@torch.no_grad()
def _fill(
    values: NDArray[Any], teacher: FixedTeacher, dataset: Dataset, augmentation: Augmentation, device: torch.device
) -> None:
    teacher.move_to(device)
    batches = Batches(dataset.train, dataset.normalization, EVALUATION_BATCH, device)
    for number, variant in enumerate(variants_of(augmentation)):
        begin = 0
        for images, _ in batches.in_order(variant):
            answer = teacher.answer(images, dataset.normalization).float().cpu().numpy()
            values[number, :, begin : begin + len(images)] = answer
            begin += len(images)
    teacher.move_to(torch.device("cpu"))


def _about(path: Path) -> Path:
    return path.with_name(path.name + ".json")
