"""Reads the four arrays of a data set from a .npz file (numpy.savez, numpy.savez_compressed)."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dccdka.datasets.dataset import DatasetError, Split
from dccdka.datasets.memory import require_memory
from dccdka.function_reference import in_one_line

# Training images and labels, test images and labels.
_NAMES = (
    ("x_train", "y_train", "x_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
)
_WRITE_AGAIN = "write it with numpy.savez(file, x_train=..., y_train=..., x_test=..., y_test=...)"


def read_npz(path: Path) -> tuple[Split, Split]:
    """Training and test set: images uint8 [n, c, h, w]; the file may have them as [n, h, w] or [n, h, w, c] too.

    Images of 4 dimensions whose last is 1 or 3 and whose second is neither have the channels last; what looks like 2 or
    4 channels at the end is refused. Labels may be [n, 1]. Objects, which are pickles, are refused. Raises DatasetError
    naming the file and the array.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            present = {name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")}
            names = next((names for names in _NAMES if present.issuperset(names)), None)
            if names is None:
                wanted = " or ".join(", ".join(names) for names in _NAMES)
                raise DatasetError(f"{path}: must hold {wanted}, holds {', '.join(sorted(present)) or 'no array'}")
            arrays = [_read_array(archive, name, path) for name in names]
    except DatasetError:
        raise
    except Exception as error:  # on damaged files zipfile, zlib and NumPy's parser of headers raise all sorts
        raise DatasetError(f"{path}: cannot be read ({in_one_line(error)}); {_WRITE_AGAIN}") from error
    training, test = (
        Split(_channels_first(arrays[i], f"{path}: {names[i]}"), _in_one_dimension(arrays[i + 1])) for i in (0, 2)
    )
    return training, test


def _read_array(archive: zipfile.ZipFile, name: str, path: Path) -> NDArray[Any]:
    with archive.open(f"{name}.npy") as member:
        version = np.lib.format.read_magic(member)
        # NumPy writes plain arrays as 1.0. Later headers may be gigabytes, which it reads before it refuses them.
        if version != (1, 0):
            raise DatasetError(f"{path}: {name}: version {version[0]}.{version[1]} of npy is not read; {_WRITE_AGAIN}")
        shape, _, dtype = np.lib.format.read_array_header_1_0(member)
    if dtype.kind not in "biuf":
        raise DatasetError(f"{path}: {name}: holds {dtype}, not numbers; {_WRITE_AGAIN}")
    if min(shape, default=0) < 0:
        raise DatasetError(f"{path}: {name}: has the shape {list(shape)}; {_WRITE_AGAIN}")
    require_memory(math.prod(shape) * dtype.itemsize, f"{path}: {name}", "keep fewer or smaller images in the file")
    with archive.open(f"{name}.npy") as member:
        array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return array


def _channels_first(images: NDArray[Any], source: str) -> NDArray[Any]:
    if images.ndim != 4 or images.shape[1] in (1, 3):
        return images
    _, second, third, last = images.shape
    if last in (1, 3):
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    if last in (2, 4) and last < min(second, third):
        raise DatasetError(
            f"{source}: has the shape {list(images.shape)}, as if {last} channels came last, and only 1 or 3 are taken "
            f"for that; write the images as [n, c, h, w], here [n, {last}, {second}, {third}] (if they are {second} "
            f"channels of {third} x {last} pixels, load them by a module:function)"
        )
    return images


def _in_one_dimension(labels: NDArray[Any]) -> NDArray[Any]:
    return labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
