"""CIFAR in its published files: read to the pixel, and a damaged or missing batch is named."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dccdka.datasets import DatasetError, load_dataset

WriteBatch = Callable[..., bytes]
BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


def batch_of(count: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [n, 3072] and labels [n]."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, 3072), np.uint8), np.arange(count) % classes


def write_cifar10(folder: Path, write: Callable[[np.ndarray, np.ndarray], bytes], suffix: str) -> dict[str, np.ndarray]:
    """The six batches, of 20 images each; returns their pixels."""
    pixels = {}
    for seed, name in enumerate(BATCHES):
        pixels[name], labels = batch_of(20, 10, seed)
        (folder / f"{name}{suffix}").write_bytes(write(pixels[name], labels))
    return pixels


def binary(pixels: np.ndarray, labels: np.ndarray) -> bytes:
    return np.hstack([labels[:, np.newaxis].astype(np.uint8), pixels]).tobytes()


@pytest.fixture(params=["binary", "Python"])
def cifar10(request: pytest.FixtureRequest, tmp_path: Path, python2_pickle: WriteBatch) -> tuple[Path, str, np.ndarray]:
    """A folder with CIFAR-10, the version, and the test pixels."""
    if request.param == "binary":
        pixels = write_cifar10(tmp_path, binary, ".bin")
    else:
        pixels = write_cifar10(tmp_path, lambda p, labels: python2_pickle(p, labels.tolist()), "")
    return tmp_path, request.param, pixels["test_batch"]


def test_cifar_10_is_recognised_and_read_to_the_pixel(cifar10: tuple[Path, str, np.ndarray]) -> None:
    folder, version, test_pixels = cifar10
    dataset = load_dataset(str(folder), validation=10)
    assert dataset.name == f"{folder} (CIFAR-10, {version})"
    assert (dataset.image_shape, dataset.classes) == ((3, 32, 32), 10)
    assert [len(split.labels) for split in (dataset.train, dataset.validation, dataset.test)] == [90, 10, 20]
    assert dataset.test.images.flags.writeable  # torch warns of arrays that are not
    # A record is the red plane, row by row, then the green and the blue one.
    assert dataset.test.images[7, 1, 2, 5] == test_pixels[7, 1024 + 2 * 32 + 5]
    assert dataset.test.labels.tolist() == [*range(10), *range(10)]


def test_both_versions_have_the_same_hash(tmp_path: Path, python2_pickle: WriteBatch) -> None:
    for name in ("binary", "python"):
        (tmp_path / name).mkdir()
    write_cifar10(tmp_path / "binary", binary, ".bin")
    write_cifar10(tmp_path / "python", lambda p, labels: python2_pickle(p, labels.tolist()), "")
    hashes = {load_dataset(str(tmp_path / name), validation=10).sha256 for name in ("binary", "python")}
    assert len(hashes) == 1


def test_a_missing_batch_is_named(cifar10: tuple[Path, str, np.ndarray]) -> None:
    folder, _, _ = cifar10
    missing = next(folder.glob("data_batch_4*"))
    missing.unlink()
    with pytest.raises(DatasetError, match=f"{folder}: has no {missing.name}, which CIFAR-10"):
        load_dataset(str(folder), validation=10)


@pytest.mark.parametrize("cut", [1, 3073, 40_000])
def test_a_truncated_batch_is_named(cifar10: tuple[Path, str, np.ndarray], cut: int) -> None:
    folder, _, _ = cifar10
    path = next(folder.glob("data_batch_3*"))
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(DatasetError, match=f"{path}: "):
        load_dataset(str(folder), validation=10)


def test_a_label_out_of_range_is_named_with_its_image(tmp_path: Path) -> None:
    write_cifar10(tmp_path, binary, ".bin")
    path = tmp_path / "data_batch_2.bin"
    data = bytearray(path.read_bytes())
    data[3 * 3073] = 10
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=f"{path}: image 3 has label 10, but CIFAR-10, binary has classes 0 to 9"):
        load_dataset(str(tmp_path), validation=10)


def test_a_hostile_batch_is_refused_by_its_file_and_executes_nothing(
    tmp_path: Path, python2_pickle: WriteBatch
) -> None:
    class Malicious:
        def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
            return os.system, (f"touch {tmp_path}/touched",)

    write_cifar10(tmp_path, lambda p, labels: python2_pickle(p, labels.tolist()), "")
    path = tmp_path / "data_batch_5"
    path.write_bytes(pickle.dumps({b"data": Malicious(), b"labels": [1]}, 2))
    with pytest.raises(DatasetError, match=f"{path}: not read, for it"):
        load_dataset(str(tmp_path), validation=10)
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    ("pixels", "labels", "key", "message"),
    [
        ((20, 3071), [0] * 20, b"labels", r"has no array 'data' of shape \[n, 3072\]"),
        ((20, 3072), [0] * 19, b"labels", "19 labels for 20 images"),
        ((20, 3072), [0] * 20, b"fine_labels", "has no list of whole numbers 'labels'"),
        ((0, 3072), [], b"labels", "holds no image"),
    ],
)
def test_a_python_batch_of_other_content_is_named(
    tmp_path: Path,
    python2_pickle: WriteBatch,
    pixels: tuple[int, int],
    labels: list[int],
    key: bytes,
    message: str,
) -> None:
    write_cifar10(tmp_path, lambda p, labels: python2_pickle(p, labels.tolist()), "")
    path = tmp_path / "data_batch_1"
    path.write_bytes(python2_pickle(np.zeros(pixels, np.uint8), labels, key))
    with pytest.raises(DatasetError, match=f"{path}: {message}"):
        load_dataset(str(tmp_path), validation=10)


def test_cifar_100_has_the_fine_labels(tmp_path: Path, python2_pickle: WriteBatch) -> None:
    (tmp_path / "binary").mkdir()
    (tmp_path / "python").mkdir()
    for name, seed in (("train", 1), ("test", 2)):
        pixels, labels = batch_of(200, 100, seed)
        coarse_and_fine = np.stack([labels // 5, labels], axis=1).astype(np.uint8)
        (tmp_path / "binary" / f"{name}.bin").write_bytes(np.hstack([coarse_and_fine, pixels]).tobytes())
        (tmp_path / "python" / name).write_bytes(python2_pickle(pixels, labels.tolist(), b"fine_labels"))
    datasets = [load_dataset(str(tmp_path / name), validation=20) for name in ("binary", "python")]
    assert [dataset.classes for dataset in datasets] == [100, 100]
    assert datasets[0].sha256 == datasets[1].sha256
    assert datasets[0].name.endswith("(CIFAR-100, binary)")


def test_batches_beyond_the_memory_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cifar10(tmp_path, binary, ".bin")
    needed = 6 * 20 * 3073
    monkeypatch.setattr("dccdka.datasets.memory.free_memory", lambda: 2 * needed - 1)
    with pytest.raises(DatasetError, match=f"{tmp_path}: the images take {needed:,} bytes"):
        load_dataset(str(tmp_path), validation=10)
    monkeypatch.setattr("dccdka.datasets.memory.free_memory", lambda: 2 * needed)
    assert load_dataset(str(tmp_path), validation=10).classes == 10
