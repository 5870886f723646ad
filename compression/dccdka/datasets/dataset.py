"""Images and labels held in memory, split into what trains, what the search sees and what the report gives."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dccdka.function_reference import in_one_line

_BLOCK = 1 << 20  # pixels


class DatasetError(Exception):
    """Data are missing or wrong; the message names the file or function, what is wrong, and what to do."""


@dataclass(frozen=True)
class Split:
    """images uint8 [n, c, h, w] (pixels), labels int64 [n]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __repr__(self) -> str:
        return f"Split(images {self.images.dtype} {list(self.images.shape)})"


@dataclass(frozen=True)
class Normalization:
    """The network sees (pixel - zero) * scale, one pair for all channels, so that int8 inputs lose nothing."""

    zero: int
    scale: float


@dataclass(frozen=True)
class Dataset:
    """train and validation are parts of the source's training set, test is its test set.

    sha256 is the hash of all pixels and labels, hexadecimal.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: int
    normalization: Normalization
    sha256: str

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} {len(getattr(self, name).labels)}" for name in ("train", "validation", "test"))
        shape = list(self.image_shape)
        return f"Dataset({self.name!r}, {counts} images {shape}, {self.classes} classes, sha256 {self.sha256[:12]}...)"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(c, h, w)."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width


def normalization_of(images: NDArray[np.uint8]) -> Normalization:
    """zero is the rounded mean pixel, scale 1/standard deviation of the pixels (1 for a constant image)."""
    # From the histogram: exact, and no float copy of all images. In blocks, as bincount copies what it counts to int64.
    flat = images.reshape(-1)
    counts = np.zeros(256)
    for begin in range(0, len(flat), _BLOCK):
        counts += np.bincount(flat[begin : begin + _BLOCK], minlength=256)
    pixels = np.arange(256)
    mean = float(counts @ pixels / counts.sum())
    deviation = float(np.sqrt(counts @ (pixels - mean) ** 2 / counts.sum()))
    return Normalization(zero=round(mean), scale=1 / deviation if deviation > 0 else 1.0)


def _array(given: object, what: str) -> NDArray[Any]:
    try:
        return np.asarray(given)
    except Exception as error:  # a user's own object may raise anything while it is read: told as its fault
        raise DatasetError(f"{what} cannot be read as an array: {in_one_line(error)}") from error


def _checked(split: Split, source: str) -> Split:
    images, labels = _array(split.images, f"{source}: images"), _array(split.labels, f"{source}: labels")
    if images.dtype != np.uint8:
        raise DatasetError(f"{source}: images must be uint8 pixels, got {images.dtype}; scale them to 0..255")
    if images.ndim == 3:
        images = images[:, np.newaxis]
    if images.ndim != 4 or 0 in images.shape:
        raise DatasetError(f"{source}: images must have the shape [n, c, h, w], got {list(images.shape)}")
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1:
        raise DatasetError(f"{source}: labels must be integers [n], got {labels.dtype} {list(labels.shape)}")
    if len(labels) != len(images):
        raise DatasetError(f"{source}: {len(images)} images but {len(labels)} labels")
    if labels.min() < 0:
        raise DatasetError(f"{source}: labels must be 0 or more, got {labels.min()}")
    if labels.max() > np.iinfo(np.int64).max:
        raise DatasetError(f"{source}: label {labels.max()} for {len(images)} images; number the classes 0, 1, 2, ...")
    return Split(np.ascontiguousarray(images), labels.astype(np.int64))


def _hash(*splits: Split) -> str:
    digest = hashlib.sha256()
    for split in splits:
        digest.update(repr(split.images.shape).encode())
        digest.update(split.images.data)
        digest.update(split.labels.data)
    return digest.hexdigest()


def held_out_images(order: NDArray[np.int64], labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The first `count` images in this order, sorted, passing over the last image of every class, which stays.

    order is a permutation of the images, labels [n] their classes. Fewer than `count` if there are no more.
    """
    _, from_end = np.unique(labels[order][::-1], return_index=True)
    return np.sort(np.delete(order, len(order) - 1 - from_end)[:count])


def held_out_subjects(subjects: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """All images, sorted, of as many subjects, drawn by seed, as it takes to have `count` images.

    subjects [n] are the images' subjects. All images if there are not so many.
    """
    drawn, sizes = np.unique(subjects, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(drawn))
    enough = int(np.searchsorted(np.cumsum(sizes[order]), count)) + 1
    return np.flatnonzero(np.isin(subjects, drawn[order[:enough]]))


def require_whole_numbers(validation: object, seed: object) -> None:
    """Raises DatasetError for a number of validation images or a seed that is none."""
    for name, value, least in (("validation", validation, 1), ("seed", seed, 0)):
        if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
            raise DatasetError(f"{name}: must be a whole number, {least} or more, got {value!r}")


def make_dataset(
    name: str,
    training: Split,
    test: Split,
    *,
    validation: int,
    seed: int = 0,
    training_source: str = "training set",
    test_source: str = "test set",
    subjects: NDArray[np.int64] | None = None,
) -> Dataset:
    """Check two sets in memory and split `validation` images, drawn by seed, off the training set.

    Raises DatasetError, which names the source, or the argument.
    With subjects [n] of the training images, whole subjects are drawn, until there are at least `validation` images.
    """
    require_whole_numbers(validation, seed)
    training, test = _checked(training, training_source), _checked(test, test_source)
    if test.images.shape[1:] != training.images.shape[1:]:
        raise DatasetError(
            f"{test_source}: images of shape {list(test.images.shape[1:])}, but those of {training_source} have "
            f"{list(training.images.shape[1:])}"
        )
    classes = int(training.labels.max()) + 1
    if classes < 2:
        raise DatasetError(f"{training_source}: needs at least 2 classes, every label is 0")
    if classes > len(training.labels):
        raise DatasetError(
            f"{training_source}: label {classes - 1} for {len(training.labels)} images: labels count from 0, one "
            "number per class"
        )
    missing = np.setdiff1d(np.arange(classes), training.labels)
    if len(missing):
        raise DatasetError(
            f"{training_source}: no image of class {missing[0]}, though labels go up to {classes - 1}"
            f" ({len(missing)} classes are missing); number the classes 0, 1, 2, ..."
        )
    if test.labels.max() >= classes:
        raise DatasetError(
            f"{test_source}: label {test.labels.max()} does not occur in the training set, which has {classes} classes"
        )
    held_out = _validation_images(training.labels, classes, subjects, training_source, validation, seed)
    kept = np.setdiff1d(np.arange(len(training.labels)), held_out)
    train = Split(training.images[kept], training.labels[kept])
    return Dataset(
        name=name,
        train=train,
        validation=Split(training.images[held_out], training.labels[held_out]),
        test=test,
        classes=classes,
        normalization=normalization_of(train.images),
        sha256=_hash(training, test),
    )


def _validation_images(
    labels: NDArray[np.int64],
    classes: int,
    subjects: NDArray[np.int64] | None,
    source: str,
    validation: int,
    seed: int,
) -> NDArray[np.int64]:
    count = len(labels)
    if validation > count - classes:
        raise DatasetError(
            f"{source}: cannot split {validation} validation images off {count} and leave each of {classes} classes an "
            "image to train on; choose another number for validation"
        )
    if subjects is None:
        return held_out_images(np.random.default_rng(seed).permutation(count), labels, validation)
    held_out = held_out_subjects(subjects, validation, seed)
    missing = np.setdiff1d(labels, np.delete(labels, held_out))
    if len(missing):
        raise DatasetError(
            f"{source}: with {validation} validation images split off by subject, no image of {len(missing)} of "
            f"{classes} classes is left to train on; lower validation, or take another seed"
        )
    return held_out
