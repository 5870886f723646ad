"""Reads CIFAR-10 and CIFAR-100 (fine labels), binary and Python version: https://www.cs.toronto.edu/~kriz/cifar.html."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dccdka.datasets.array_pickle import PickleRefused, read_array_pickle
from dccdka.datasets.dataset import DatasetError, Split
from dccdka.datasets.memory import require_memory

_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class CifarVersion:
    """The files of one version.

    label_bytes counts a binary record's labels, the last of which is used; label_key finds them in a Python batch.
    """

    name: str
    training: tuple[str, ...]
    test: str
    classes: int
    label_bytes: int = 0
    label_key: bytes = b""


CIFAR_VERSIONS = (
    CifarVersion(
        "CIFAR-10, binary", tuple(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin", 10, label_bytes=1
    ),
    CifarVersion(
        "CIFAR-10, Python", tuple(f"data_batch_{n}" for n in range(1, 6)), "test_batch", 10, label_key=b"labels"
    ),
    CifarVersion("CIFAR-100, binary", ("train.bin",), "test.bin", 100, label_bytes=2),
    CifarVersion("CIFAR-100, Python", ("train",), "test", 100, label_key=b"fine_labels"),
)


def read_cifar(folder: Path, version: CifarVersion) -> tuple[Split, Split]:
    """Training and test set: images uint8 [n, 3, 32, 32]. Raises DatasetError naming the file that is wrong."""
    files = [folder / name for name in (*version.training, version.test)]
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        raise DatasetError(f"{folder}: has no {', '.join(missing)}, which {version.name} has; unpack it again")
    require_memory(sum(path.stat().st_size for path in files), str(folder), "free some")
    *training, test = (_read_batch(path, version) for path in files)
    for path, batch in zip(files, training, strict=False):
        if len(batch.labels) != len(training[0].labels):
            raise DatasetError(
                f"{path}: holds {len(batch.labels)} images, {files[0].name} {len(training[0].labels)}; unpack it again"
            )
    images, labels = (
        np.concatenate([batch.images for batch in training]),
        np.concatenate([batch.labels for batch in training]),
    )
    return Split(images, labels), test


def _read_batch(path: Path, version: CifarVersion) -> Split:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error}); unpack it again") from error
    pixels, labels = _read_python(path, data, version) if version.label_key else _read_binary(path, data, version)
    if len(labels) == 0:
        raise DatasetError(f"{path}: holds no image; unpack it again")
    if labels.min() < 0 or labels.max() >= version.classes:
        wrong = int(np.flatnonzero((labels < 0) | (labels >= version.classes))[0])
        raise DatasetError(
            f"{path}: image {wrong} has label {labels[wrong]}, but {version.name} has classes 0 to "
            f"{version.classes - 1}; unpack it again"
        )
    return Split(pixels.reshape(-1, 3, 32, 32), labels)


def _read_binary(path: Path, data: bytes, version: CifarVersion) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    record = version.label_bytes + _PIXELS
    if len(data) % record:
        raise DatasetError(
            f"{path}: its {len(data)} bytes are no whole number of records of {record}: it is truncated or another "
            "file; unpack it again"
        )
    records = np.frombuffer(data, np.uint8).reshape(-1, record)
    return records[:, version.label_bytes :], records[:, version.label_bytes - 1].astype(np.int64)


def _read_python(path: Path, data: bytes, version: CifarVersion) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    try:
        batch = read_array_pickle(data)
    except PickleRefused as error:
        raise DatasetError(f"{path}: not read, for {error}; unpack the published file again") from error
    pixels, labels = batch.get(b"data"), batch.get(version.label_key)
    if not isinstance(pixels, np.ndarray) or pixels.ndim != 2 or pixels.shape[1] != _PIXELS:
        raise DatasetError(f"{path}: has no array 'data' of shape [n, {_PIXELS}]; unpack the published file again")
    if not isinstance(labels, list) or not all(type(label) is int and abs(label) < 2**31 for label in labels):
        raise DatasetError(
            f"{path}: has no list of whole numbers {version.label_key.decode()!r}; unpack the published file again"
        )
    if len(labels) != len(pixels):
        raise DatasetError(f"{path}: {len(labels)} labels for {len(pixels)} images; unpack the published file again")
    return pixels.copy(), np.array(labels, np.int64)  # the pickle's own cannot be written to
