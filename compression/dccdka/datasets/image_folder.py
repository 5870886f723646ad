"""Data sets that are folders of image files: what trains and what is held out for the test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dccdka.datasets.dataset import (
    Dataset,
    DatasetError,
    Split,
    held_out_images,
    held_out_subjects,
    make_dataset,
)
from dccdka.datasets.image_files import SUFFIXES, find_images, image_size, read_images
from dccdka.datasets.image_layout import BY_IMAGE, LAYOUTS, SUBJECT_DISJOINT, ImageOptions, Layout, layout_of, reader_of

_TEST_SHARE = 0.2


@dataclass(frozen=True)
class _Images:
    """Files, relative to the data set's folder, with the class and (where it is told) the subject of each."""

    files: list[str]
    classes: NDArray[np.str_]
    subjects: NDArray[np.str_] | None

    def take(self, indices: NDArray[np.int64]) -> _Images:
        subjects = self.subjects[indices] if self.subjects is not None else None
        return _Images([self.files[i] for i in indices], self.classes[indices], subjects)


def load_image_folder(spec: str, folder: Path, options: ImageOptions, *, validation: int, seed: int) -> Dataset:
    """Classes are numbered in the order of their names. Raises DatasetError naming the option, file or class."""
    layout = layout_of(options)
    split = options.split or BY_IMAGE
    class_of = reader_of(options.class_from or layout.class_from, "class_from")
    subject_from = options.subject_from or layout.subject_from
    subject_of = reader_of(subject_from, "subject_from") if subject_from else None
    if split == SUBJECT_DISJOINT and subject_of is None:
        raise DatasetError(
            "split: subject-disjoint needs to know the subjects, which the paths of this layout do not tell; give "
            "subject_from"
        )

    if layout.has_parts:
        training_folder, test_folder = _parts(folder, options)
        training, test = (_images(folder, part, class_of, subject_of) for part in (training_folder, test_folder))
        if options.class_from is None:
            _no_empty_class(training_folder, training)
            _no_empty_class(test_folder, test)
        if split == SUBJECT_DISJOINT:
            _no_common_subject(training, test, test_folder)
    else:
        training_folder = test_folder = folder
        every = _images(folder, folder, class_of, subject_of)
        held_out = _test_images(every, folder, split, options.test_share or _TEST_SHARE, seed)
        training, test = every.take(np.setdiff1d(np.arange(len(every.files)), held_out)), every.take(held_out)

    names = _same_classes(training, test, training_folder, test_folder)
    channels = options.channels or layout.channels
    size = options.size or image_size(folder / training.files[0])
    pixels = read_images(folder, training.files + test.files, channels, size, resize=options.size is not None)
    count = len(training.files)
    return make_dataset(
        f"{spec} (images, {_described(options, layout, split)})",
        Split(pixels[:count], np.searchsorted(names, training.classes)),
        Split(pixels[count:], np.searchsorted(names, test.classes)),
        training_source=str(training_folder),
        test_source=str(test_folder),
        validation=validation,
        seed=seed,
        subjects=_numbered(training.subjects) if split == SUBJECT_DISJOINT else None,
    )


def _images(
    folder: Path, part: Path, class_of: Callable[[str, Path], str], subject_of: Callable[[str, Path], str] | None
) -> _Images:
    found = find_images(part)
    if not found:
        raise DatasetError(f"{part}: has no image ({', '.join(SUFFIXES)}) in it or below it")
    # Paths are in the order of classes, but the first images of a set, which calibrate and verify, must be of all. The
    # order is the same for every seed, so that the hash of the data is.
    files = [found[index] for index in np.random.default_rng(0).permutation(len(found))]
    return _Images(
        [(part / file).relative_to(folder).as_posix() for file in files],
        np.array([class_of(file, part / file) for file in files]),
        np.array([subject_of(file, part / file) for file in files]) if subject_of else None,
    )


def _parts(folder: Path, options: ImageOptions) -> tuple[Path, Path]:
    if options.test_share is not None:
        raise DatasetError("test_share: is for folders without a test set of their own; leave it out")
    training = folder / "train"
    tests = [folder / name for name in ("test", "val") if (folder / name).is_dir()]
    if not training.is_dir() or not tests:
        raise DatasetError(f"{folder}: the layout folders needs train/CLASS/ and test/CLASS/ or val/CLASS/")
    return training, tests[0]


def _no_empty_class(part: Path, images: _Images) -> None:
    folders = {entry.name for entry in part.iterdir() if entry.is_dir() and not entry.name.startswith(".")}
    empty = sorted(folders.difference(images.classes.tolist()))
    if empty:
        raise DatasetError(f"{part / empty[0]}: has no image ({', '.join(SUFFIXES)}); fill it or remove it")


def _no_common_subject(training: _Images, test: _Images, test_folder: Path) -> None:
    assert training.subjects is not None and test.subjects is not None
    common = np.intersect1d(training.subjects, test.subjects).tolist()
    if common:
        raise DatasetError(
            f"{test_folder}: split is subject-disjoint, but subject {common[0]!r} is in the training set too (and "
            f"{len(common) - 1} more); move its images, or take split: by-image"
        )


def _test_images(images: _Images, folder: Path, split: str, share: float, seed: int) -> NDArray[np.int64]:
    """Indices of the images for the test, drawn by seed: about the same share of each class, or of the subjects."""
    count = max(1, round(share * len(images.files)))
    names, labels, sizes = np.unique(images.classes, return_inverse=True, return_counts=True)
    if split == SUBJECT_DISJOINT:
        assert images.subjects is not None
        _no_class_of_one_subject(images, folder)
        return held_out_subjects(_numbered(images.subjects), count, seed)
    if sizes.min() < 2:
        single = names[sizes < 2].tolist()
        raise DatasetError(
            f"{folder}: class {single[0]!r} has one image, which cannot be both learnt and tested (and "
            f"{len(single) - 1} more such classes); add images, or remove the class"
        )
    return held_out_images(_evenly_drawn(labels, sizes, seed), labels, count)


def _evenly_drawn(labels: NDArray[np.int64], sizes: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """A random order of the images of which every beginning has about the same share of each class."""
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return by_class[np.argsort((rank + generator.random(len(labels))) / np.repeat(sizes, sizes))]


def _no_class_of_one_subject(images: _Images, folder: Path) -> None:
    assert images.subjects is not None
    pairs = np.unique(np.stack([images.classes, images.subjects]), axis=1)
    names, subjects = np.unique(pairs[0], return_counts=True)
    if subjects.min() < 2:
        single = names[subjects < 2].tolist()
        raise DatasetError(
            f"{folder}: class {single[0]!r} has images of one subject only (as have {len(single) - 1} more), so a "
            "subject-disjoint split leaves nothing to learn it from or to test it on; give a class_from that finds "
            "what subjects have in common, or take split: by-image"
        )


def _same_classes(training: _Images, test: _Images, training_folder: Path, test_folder: Path) -> NDArray[np.str_]:
    """The classes, sorted; every class must be in the training set, and in a test set that was not drawn."""
    names = np.unique(training.classes)
    untrained = np.setdiff1d(test.classes, names).tolist()
    if untrained and test_folder == training_folder:
        raise DatasetError(
            f"{test_folder}: with the test drawn by subject, class {untrained[0]!r} ({len(untrained)} in all) has no "
            "image left to train on; lower test_share, or take another seed"
        )
    if untrained:
        raise DatasetError(
            f"{test_folder}: class {untrained[0]!r} ({len(untrained)} in all) has no image in the training set; add "
            f"some to {training_folder}, or remove the class"
        )
    untested = np.setdiff1d(names, test.classes).tolist()
    if untested and test_folder != training_folder:
        raise DatasetError(
            f"{test_folder}: has no image of class {untested[0]!r} ({len(untested)} in all), which {training_folder} "
            "has; add some, or remove the class"
        )
    return names


def _numbered(subjects: NDArray[np.str_] | None) -> NDArray[np.int64]:
    assert subjects is not None
    return np.unique(subjects, return_inverse=True)[1].astype(np.int64)


def _described(options: ImageOptions, layout: Layout, split: str) -> str:
    if options.layout is None and options.class_from is not None:
        return f"classes by class_from, {split}"
    name = next(name for name, known in LAYOUTS.items() if known is layout)
    return f"layout {name}, {'test set as given' if layout.has_parts else split}"
