"""Reads IDX files (the format of MNIST: http://yann.lecun.com/exdb/mnist), plain or gzipped."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from dccdka.datasets.dataset import DatasetError, Split
from dccdka.datasets.memory import require_memory

_UINT8 = 0x08


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array of bytes in an IDX file. Raises DatasetError naming the file when it is no whole IDX file of bytes."""
    try:
        with path.open("rb") as file:
            return _read(gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file, path)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path}: cannot be read ({error}); copy or download it again") from error


def _read(file: BinaryIO | gzip.GzipFile, path: Path) -> NDArray[np.uint8]:
    data = file.read(4)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != _UINT8 or not 1 <= data[3] <= 4:
        raise DatasetError(
            f"{path}: not an IDX file of bytes: it begins with {data[:4].hex(' ')}, expected 00 00 08 and the number "
            "of dimensions, 1 to 4"
        )
    lengths = file.read(4 * data[3])
    if len(lengths) < 4 * data[3]:
        raise DatasetError(f"{path}: truncated inside its header of {4 + 4 * data[3]} bytes")
    shape = struct.unpack(f">{data[3]}I", lengths)
    if 0 in shape:
        raise DatasetError(f"{path}: its header says {' x '.join(map(str, shape))}: it holds nothing")
    size = math.prod(shape)
    require_memory(size, str(path), "keep fewer images in the file")
    # One byte more than there should be: a file that goes on is wrong, however long a gzip file would go on.
    pixels = file.read(size + 1)
    if len(pixels) != size:
        held = f"{len(pixels)}" if len(pixels) < size else f"more than {size}"
        raise DatasetError(
            f"{path}: holds {held} bytes of data, its header says {' x '.join(map(str, shape))} = {size}; copy or "
            "download it again"
        )
    return np.frombuffer(pixels, np.uint8).reshape(shape).copy()


def read_idx_pair(images_path: Path, labels_path: Path) -> Split:
    """Images [n, c, h, w] from an IDX file of 3 dimensions (one channel) or 4, and labels from one of 1 dimension."""
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim not in (3, 4):
        raise DatasetError(f"{images_path}: images need 3 or 4 dimensions, the file has {images.ndim}")
    if labels.ndim != 1:
        raise DatasetError(f"{labels_path}: labels need 1 dimension, the file has {labels.ndim}")
    if len(images) != len(labels):
        raise DatasetError(f"{labels_path}: {len(labels)} labels for the {len(images)} images of {images_path}")
    if images.ndim == 3:
        images = images[:, np.newaxis]
    return Split(images, labels.astype(np.int64))


def find_idx_file(folder: Path, stem: str) -> Path:
    """The file `stem`-idxN-ubyte or `stem`-idxN-ubyte.gz in the folder, such as train-images-idx3-ubyte.gz."""
    found = sorted(folder.glob(f"{stem}-idx[0-9]-ubyte")) + sorted(folder.glob(f"{stem}-idx[0-9]-ubyte.gz"))
    if not found:
        raise DatasetError(f"{folder}: has no {stem}-idx?-ubyte or {stem}-idx?-ubyte.gz")
    return found[0]
