"""IDX files: read back as written, and every damaged file is refused by its name."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dccdka.datasets import DatasetError
from dccdka.datasets.idx import read_idx, read_idx_pair


def idx_bytes(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write(path: Path, array: np.ndarray) -> Path:
    data = idx_bytes(array)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@given(array=arrays.arrays(np.uint8, arrays.array_shapes(max_dims=4)), name=st.sampled_from(["x", "x.gz"]))
def test_an_array_is_read_back_plain_or_gzipped(
    array: np.ndarray, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert np.array_equal(read_idx(write(tmp_path_factory.getbasetemp() / name, array)), array)


@given(keep=st.floats(0, 0.999), name=st.sampled_from(["cut", "cut.gz"]))
def test_a_truncated_file_is_refused_by_its_name(
    keep: float, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write(tmp_path_factory.getbasetemp() / name, np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(DatasetError, match=str(path)):
        read_idx(path)


def test_a_gzip_file_with_a_flipped_bit_is_refused_by_its_name(tmp_path: Path) -> None:
    path = write(tmp_path / "flipped.gz", np.arange(100, dtype=np.uint8))
    data = bytearray(path.read_bytes())
    data[-6] ^= 1  # in the checksum
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=f"{path}: cannot be read"):
        read_idx(path)


@pytest.mark.parametrize("magic", [b"\x89PNG", b"\0\0\x0d\x03", b"\0\0\x08\x00", b"\0\0\x08\x46"])
def test_a_file_of_another_kind_is_refused_by_its_magic(tmp_path: Path, magic: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(magic + bytes(100))
    with pytest.raises(DatasetError, match=f"{path}: not an IDX file of bytes: it begins with {magic.hex(' ')}"):
        read_idx(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=f"{tmp_path}/none: cannot be read"):
        read_idx(tmp_path / "none")


def test_bytes_beyond_the_data_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "long", np.zeros(5, np.uint8))
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(DatasetError, match="holds more than 5 bytes of data, its header says 5 = 5"):
        read_idx(path)


@pytest.mark.parametrize("shape", [(6, 0, 4), (0, 2**32 - 1, 2**32 - 1)])
def test_a_file_that_holds_nothing_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "empty"
    path.write_bytes(bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape))
    with pytest.raises(DatasetError, match=f"{path}: its header says {shape[0]} x .*: it holds nothing"):
        read_idx(path)


def test_labels_must_be_as_many_as_images(tmp_path: Path) -> None:
    images = write(tmp_path / "images", np.zeros((3, 2, 2), np.uint8))
    labels = write(tmp_path / "labels", np.zeros(2, np.uint8))
    with pytest.raises(DatasetError, match=f"{labels}: 2 labels for the 3 images of {images}"):
        read_idx_pair(images, labels)


def test_images_and_labels_given_the_wrong_way_round_are_refused(tmp_path: Path) -> None:
    images = write(tmp_path / "images", np.zeros((3, 2, 2), np.uint8))
    labels = write(tmp_path / "labels", np.zeros(3, np.uint8))
    with pytest.raises(DatasetError, match=f"{labels}: images need 3 or 4 dimensions, the file has 1"):
        read_idx_pair(labels, images)
    with pytest.raises(DatasetError, match=f"{images}: labels need 1 dimension, the file has 3"):
        read_idx_pair(images, images)


def test_a_header_that_claims_too_much_is_refused_before_anything_is_allotted(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    path.write_bytes(bytes([0, 0, 8, 2]) + struct.pack(">2I", 2**31, 2**31))
    with pytest.raises(DatasetError, match=f"{path}: the images take {2**62:,} bytes in memory"):
        read_idx(path)


def test_a_gzip_file_that_goes_on_without_end_is_not_unpacked_whole(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes([0, 0, 8, 1]) + struct.pack(">I", 5) + bytes(100_000_000), 1))
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError, match="holds more than 5 bytes"):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
