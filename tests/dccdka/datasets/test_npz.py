"""npz files: the usual names and layouts are understood, objects and damage are refused by file and array."""

from __future__ import annotations

import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dccdka.datasets import DatasetError, load_dataset

GENERATOR = np.random.default_rng(0)


def arrays(images: tuple[int, ...] = (3, 5, 6), **changed: Any) -> dict[str, Any]:
    good = {
        "x_train": GENERATOR.integers(0, 256, (20, *images), np.uint8),
        "y_train": np.arange(20) % 4,
        "x_test": GENERATOR.integers(0, 256, (8, *images), np.uint8),
        "y_test": np.arange(8) % 4,
    }
    return {**good, **changed}


def write(path: Path, content: dict[str, Any]) -> str:
    np.savez_compressed(path, **content)
    return str(path)


@pytest.mark.parametrize(
    "names",
    [("x_train", "y_train", "x_test", "y_test"), ("train_images", "train_labels", "test_images", "test_labels")],
)
def test_both_ways_to_name_the_arrays_are_read(tmp_path: Path, names: tuple[str, ...]) -> None:
    content = arrays()
    dataset = load_dataset(write(tmp_path / "a.npz", dict(zip(names, content.values(), strict=True))), validation=4)
    assert dataset.name == f"{tmp_path}/a.npz (npz)"
    assert np.array_equal(dataset.test.images, content["x_test"])
    assert dataset.test.labels.tolist() == content["y_test"].tolist()


def test_channels_last_and_labels_in_a_column_are_understood(tmp_path: Path) -> None:
    content = arrays((5, 6, 3))
    column = {name: content[name][:, np.newaxis] for name in ("y_train", "y_test")}
    dataset = load_dataset(write(tmp_path / "a.npz", {**content, **column}), validation=4)
    assert dataset.image_shape == (3, 5, 6)
    assert np.array_equal(dataset.test.images, content["x_test"].transpose(0, 3, 1, 2))


@pytest.mark.parametrize("channels", [2, 4])
def test_2_or_4_channels_that_come_last_are_refused_and_not_taken_for_the_width(tmp_path: Path, channels: int) -> None:
    spec = write(tmp_path / "a.npz", arrays((5, 6, channels)))
    with pytest.raises(DatasetError, match=rf"{spec}: x_train: has the shape .* \[n, {channels}, 5, 6\]"):
        load_dataset(spec, validation=4)


@pytest.mark.parametrize("images", [(4, 5, 6), (3, 5, 4), (1, 8, 2), (5, 4, 4), (8, 2, 2)])
def test_channels_that_come_second_are_taken_as_they_are(tmp_path: Path, images: tuple[int, int, int]) -> None:
    assert load_dataset(write(tmp_path / "a.npz", arrays(images)), validation=4).image_shape == images


def test_images_without_channels_have_one(tmp_path: Path) -> None:
    assert load_dataset(write(tmp_path / "a.npz", arrays((5, 6))), validation=4).image_shape == (1, 5, 6)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"x_train": np.zeros((20, 3, 5, 6), np.float32)},
            "training set: images must be uint8 pixels, got float32; scale",
        ),
        ({"y_train": np.array([{}] * 20, object)}, "y_train: holds object, not numbers"),
        ({"y_train": np.array(["a"] * 20)}, "y_train: holds <U1, not numbers"),
        ({"x_test": np.zeros((8, 3, 5, 7), np.uint8)}, r"test set: images of shape \[3, 5, 7\], but"),
        ({"y_train": np.arange(20) % 4 * 2}, "training set: no image of class 1"),
        ({"y_test": np.full(8, 4)}, "test set: label 4 does not occur"),
    ],
)
def test_wrong_arrays_are_named(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    spec = write(tmp_path / "a.npz", arrays(**changed))
    with pytest.raises(DatasetError, match=f"{spec}.*{message}"):
        load_dataset(spec, validation=4)


def test_missing_arrays_and_files_are_named(tmp_path: Path) -> None:
    spec = write(tmp_path / "a.npz", {"x_train": np.zeros(3)})
    with pytest.raises(DatasetError, match=r"must hold x_train, y_train, x_test, y_test or .*, holds x_train"):
        load_dataset(spec)
    with pytest.raises(DatasetError, match=f"data set '{tmp_path}/none.npz': no such file"):
        load_dataset(f"{tmp_path}/none.npz")


def test_truncated_and_altered_files_are_refused_by_name(tmp_path: Path) -> None:
    path = Path(write(tmp_path / "a.npz", arrays()))
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DatasetError, match=f"{path}: cannot be read"):
            load_dataset(str(path), validation=4)
    middle = len(whole) // 4
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 0x55]) + whole[middle + 1 :])
    with pytest.raises(DatasetError, match=f"{path}: cannot be read"):
        load_dataset(str(path), validation=4)


def with_training_images(folder: Path, member: bytes) -> Path:
    """A file whose x_train is these bytes."""
    path = Path(write(folder / "a.npz", arrays()))
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**members, "x_train.npy": member}.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize(
    ("shape", "message"),
    [("(9000000000000, 1)", "the images take 9,000,000,000,000 bytes"), ("(-1, 5)", r"has the shape \[-1, 5\]")],
)
def test_a_header_that_claims_too_much_is_refused_before_anything_is_allotted(
    tmp_path: Path, shape: str, message: str
) -> None:
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}".ljust(117).encode() + b"\n"
    hostile = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    path = with_training_images(tmp_path, hostile)
    with pytest.raises(DatasetError, match=f"{path}: x_train: {message}"):
        load_dataset(str(path), validation=4)


def test_a_header_that_goes_on_without_end_is_not_read(tmp_path: Path) -> None:
    endless = b"\x93NUMPY\x02\x00" + (100_000_000).to_bytes(4, "little") + b" " * 100_000_000
    path = with_training_images(tmp_path, endless)
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError, match=f"{path}: x_train: version 2.0 of npy is not read"):
            load_dataset(str(path), validation=4)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_header_that_is_no_header_is_refused_by_name(tmp_path: Path) -> None:
    path = with_training_images(tmp_path, b"\x93NUMPY\x01\x00" + (9000).to_bytes(2, "little") + b"(" * 9000)
    with pytest.raises(DatasetError, match=f"{path}: cannot be read"):
        load_dataset(str(path), validation=4)
