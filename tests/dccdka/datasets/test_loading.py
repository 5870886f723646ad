"""Data sets by name: splits kept apart, users' own data, and errors that name their source."""

from __future__ import annotations

import gzip
import http.server
import struct
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dccdka.datasets import Dataset, DatasetError, load_dataset
from dccdka.datasets.fashion_mnist import download


def write_folder(folder: Path, train: int = 30, test: int = 10, side: int = 4, test_side: int = 4) -> Path:
    generator = np.random.default_rng(0)
    for part, count, size in (("train", train, side), ("t10k", test, test_side)):
        images = generator.integers(0, 256, (count, size, size), dtype=np.uint8)
        labels = (np.arange(count) % 5).astype(np.uint8)
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte.gz", labels)):
            data = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
            (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return folder


def rows(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


def test_a_folder_of_idx_files_is_loaded_with_validation_split_off_the_training_set(tmp_path: Path) -> None:
    dataset = load_dataset(str(write_folder(tmp_path)), validation=6)
    assert dataset.image_shape == (1, 4, 4)
    assert dataset.classes == 5
    assert [len(split.labels) for split in (dataset.train, dataset.validation, dataset.test)] == [24, 6, 10]
    assert len(rows(dataset.train.images) | rows(dataset.validation.images)) == 30
    assert not rows(dataset.train.images) & rows(dataset.validation.images)


def test_the_same_seed_splits_alike_and_another_seed_does_not(tmp_path: Path) -> None:
    def load(seed: int) -> Dataset:
        return load_dataset(str(write_folder(tmp_path)), validation=6, seed=seed)

    assert np.array_equal(load(1).validation.images, load(1).validation.images)
    assert not np.array_equal(load(1).validation.images, load(2).validation.images)
    assert load(1).sha256 == load(2).sha256


def test_the_hash_changes_with_one_pixel(tmp_path: Path) -> None:
    before = load_dataset(str(write_folder(tmp_path)), validation=6).sha256
    file = tmp_path / "t10k-images-idx3-ubyte"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert load_dataset(str(tmp_path), validation=6).sha256 != before


def test_the_normalisation_is_the_mean_and_deviation_of_the_training_pixels(tmp_path: Path) -> None:
    dataset = load_dataset(str(write_folder(tmp_path)), validation=6)
    pixels = dataset.train.images.astype(np.float64)
    assert dataset.normalization.zero == round(pixels.mean())
    assert dataset.normalization.scale == pytest.approx(1 / pixels.std())


def test_a_missing_file_names_the_folder_and_the_file(tmp_path: Path) -> None:
    (write_folder(tmp_path) / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DatasetError, match=f"{tmp_path}: has no t10k-labels-idx"):
        load_dataset(str(tmp_path))


def test_test_images_of_another_shape_are_refused_by_their_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=rf"{tmp_path}/t10k-images-idx3-ubyte: images of shape \[1, 5, 5\], but"):
        load_dataset(str(write_folder(tmp_path, test_side=5)), validation=6)


def test_more_validation_images_than_there_are_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot split 30 validation images off 30"):
        load_dataset(str(write_folder(tmp_path)), validation=30)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"validation": 2.5}, "validation: must be a whole number, 1 or more, got 2.5"),
        ({"validation": "20"}, "validation: must be a whole number, 1 or more, got '20'"),
        ({"validation": 0}, "validation: must be a whole number, 1 or more, got 0"),
        ({"seed": -1}, "seed: must be a whole number, 0 or more, got -1"),
        ({"seed": None}, "seed: must be a whole number, 0 or more, got None"),
    ],
)
def test_what_is_no_number_of_images_and_no_seed_is_refused_before_anything_is_read(
    argument: dict[str, Any], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        load_dataset("no/such/folder", **argument)


def test_numpy_s_whole_numbers_are_numbers_too(tmp_path: Path) -> None:
    dataset = load_dataset(str(write_folder(tmp_path)), validation=np.int64(6), seed=np.uint8(1))  # type: ignore[arg-type]
    assert len(dataset.validation.labels) == 6


@pytest.mark.parametrize("spec", ["fashion-mnst", "no/such/folder", "x" * 5000, "x/" * 5000])
def test_an_unknown_data_set_names_the_choices(spec: str) -> None:
    with pytest.raises(DatasetError, match=f"data set '{spec}': no such folder"):
        load_dataset(spec)


USERS_DATA = """
import numpy as np
def good():
    return np.zeros((20, 3, 6, 5), np.uint8), np.arange(20) % 2, np.zeros((4, 3, 6, 5), np.uint8), np.zeros(4, np.int32)
def floats():
    return np.zeros((20, 3, 6, 5)), *good()[1:]
def short():
    return good()[0], good()[1][:19], *good()[2:]
def unseen():
    return *good()[:3], np.full(4, 7)
def negative():
    return good()[0], good()[1] - 1, *good()[2:]
def alike():
    return good()[0], good()[1] * 0, *good()[2:]
def three():
    return good()[:3]
def raises():
    raise FileNotFoundError("no images.npy")
def exits():
    raise SystemExit(3)
def takes_arguments(folder):
    return good()
def ragged():
    return [[1, 2], [3]], *good()[1:]
def ragged_labels():
    return *good()[:3], [0, [1]]
def huge_label():
    return good()[0], np.where(np.arange(20) == 3, 10**15, 0), *good()[2:]
def wrapping_label():
    return good()[0], np.full(20, 2**64 - 1, np.uint64), *good()[2:]
def a_list():
    return list(good())
def gaps():
    return good()[0], good()[1] * 3, *good()[2:]
"""


@pytest.fixture
def users_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "users_data.py").write_text(USERS_DATA)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "users_data"


def test_a_function_in_the_current_folder_gives_a_data_set(users_module: str) -> None:
    dataset = load_dataset(f"{users_module}:good", validation=4)
    assert dataset.image_shape == (3, 6, 5)
    assert dataset.classes == 2
    assert dataset.test.labels.dtype == np.int64


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("gaps", "no image of class 1, though labels go up to 3"),
        ("floats", "training part: images must be uint8 pixels, got float64"),
        ("short", "training part: 20 images but 19 labels"),
        ("unseen", "test part: label 7 does not occur in the training set, which has 2 classes"),
        ("negative", "training part: labels must be 0 or more, got -1"),
        ("alike", "training part: needs at least 2 classes"),
        ("three", "must return .* returned a tuple of 3"),
        ("a_list", "must return .* returned list"),
        ("raises", "called with no arguments, raises FileNotFoundError: no images.npy"),
        ("exits", "called with no arguments, raises SystemExit: 3"),
        ("takes_arguments", "raises TypeError: .*missing 1 required positional argument"),
        ("ragged", "training part: images cannot be read as an array: ValueError"),
        ("ragged_labels", "test part: labels cannot be read as an array: ValueError"),
        ("huge_label", "training part: label 1000000000000000 for 20 images"),
        ("wrapping_label", "training part: label 18446744073709551615 for 20 images; number the classes"),
        ("nothing", "has no function 'nothing'"),
    ],
)
def test_wrong_data_of_a_function_name_the_function_and_the_part(
    users_module: str, function: str, message: str
) -> None:
    with pytest.raises(DatasetError, match=f"data set '{users_module}:{function}'.*{message}"):
        load_dataset(f"{users_module}:{function}", validation=4)


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(DatasetError, match="cannot import 'no_such_module'"):
        load_dataset("no_such_module:load")


@pytest.fixture
def file_server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server on loopback over a folder."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", folder
        server.shutdown()


def test_a_download_with_a_wrong_hash_is_refused_by_its_file(file_server: tuple[str, Path], tmp_path: Path) -> None:
    url, served = file_server
    (served / "train-images-idx3-ubyte.gz").write_bytes(b"not the images")
    with pytest.raises(
        DatasetError, match=f"{tmp_path}/cache/train-images-idx3-ubyte.gz: no good copy from {url}.*hash"
    ):
        download(tmp_path / "cache", url)
    assert not (tmp_path / "cache" / "train-images-idx3-ubyte.gz").exists()


def test_a_download_that_is_not_there_says_where_it_looked(file_server: tuple[str, Path], tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=f"no good copy from {file_server[0]}train-images-idx3-ubyte.gz .*404"):
        download(tmp_path / "cache", file_server[0])


def test_fashion_mnist_is_the_real_one() -> None:
    dataset = load_dataset("fashion-mnist")
    assert dataset.image_shape == (1, 28, 28)
    assert dataset.classes == 10
    assert [len(split.labels) for split in (dataset.train, dataset.validation, dataset.test)] == [55_000, 5_000, 10_000]
    assert np.bincount(dataset.test.labels).tolist() == [1000] * 10
