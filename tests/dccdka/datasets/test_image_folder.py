"""Folders of images: classes and subjects from paths, honest splits, and errors that name the class or option."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dccdka.datasets import Dataset, DatasetError, ImageOptions, load_dataset

WriteImage = Callable[..., Path]


def load(folder: Path, validation: int = 2, seed: int = 0, **options: Any) -> Dataset:
    return load_dataset(str(folder), validation=validation, seed=seed, images=ImageOptions(**options))


def parts_of(dataset: Dataset) -> dict[str, list[tuple[int, int]]]:
    """(label, value of the first pixel) of every image of each part."""
    return {
        name: [(int(y), int(x[0, 0, 0])) for x, y in zip(split.images, split.labels, strict=True)]
        for name, split in (("train", dataset.train), ("validation", dataset.validation), ("test", dataset.test))
    }


@pytest.fixture
def class_folders(tmp_path: Path, write_image: WriteImage) -> Path:
    """train/ with 6 and val/ with 3 images of each of 3 classes; the first pixel tells class and part."""
    for part, count, base in (("train", 6, 0), ("val", 3, 100)):
        for label, name in enumerate(("cat", "dog", "emu")):
            for number in range(count):
                write_image(tmp_path / part / name / f"{number}.png", (base + 10 * label + number, 0, 0))
    return tmp_path


def test_class_folders_are_recognised_and_numbered_by_name(class_folders: Path) -> None:
    dataset = load(class_folders)
    assert dataset.name == f"{class_folders} (images, layout folders, test set as given)"
    assert (dataset.image_shape, dataset.classes) == ((3, 4, 6), 3)
    parts = parts_of(dataset)
    assert sorted(parts["test"]) == [(label, 100 + 10 * label + n) for label in range(3) for n in range(3)]
    assert sorted(parts["train"] + parts["validation"]) == [
        (label, 10 * label + n) for label in range(3) for n in range(6)
    ]


def test_test_is_taken_before_val_and_images_are_scaled_and_made_grey(
    class_folders: Path, write_image: WriteImage
) -> None:
    for name in ("cat", "dog", "emu"):
        write_image(class_folders / "test" / name / "0.jpg", (200, 200, 200), size=(30, 30))
    dataset = load(class_folders, size=(8, 10), channels=1)
    assert dataset.test.images.shape == (3, 1, 8, 10)
    assert np.unique(dataset.test.images).tolist() == [200]


def test_the_first_images_of_a_set_are_of_all_classes_and_the_hash_is_no_matter_of_the_seed(
    class_folders: Path,
) -> None:
    datasets = [load(class_folders, seed=seed) for seed in (1, 2)]
    for dataset in datasets:
        assert len(set(dataset.train.labels[:6].tolist())) == 3
        assert len(set(dataset.test.labels[:5].tolist())) == 3
    assert datasets[0].sha256 == datasets[1].sha256


def test_the_hash_changes_with_one_pixel_of_one_image(class_folders: Path, write_image: WriteImage) -> None:
    before = load(class_folders).sha256
    assert load(class_folders).sha256 == before
    write_image(class_folders / "val" / "dog" / "0.png", (1, 0, 0))
    assert load(class_folders).sha256 != before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "train" / "fox").mkdir(), "train/fox: has no image"),
        (
            lambda root: (root / "val" / "emu").rename(root / "val" / "fox"),
            "val: class 'fox' .* no image in the training",
        ),
        (lambda root: [f.unlink() for f in (root / "val" / "emu").iterdir()], "val/emu: has no image"),
        (lambda root: (root / "train" / "emu" / "0.png").rename(root / "train" / "0.png"), "train/0.png: class_from"),
        (lambda root: (root / "val").rename(root / "valid"), "needs train/CLASS/ and test/CLASS/ or val/CLASS/"),
        (lambda root: (root / "train" / "dog" / "3.png").write_bytes(b"x"), "train/dog/3.png: no whole image"),
        (lambda root: (root / "train" / "loop").symlink_to(root), "train/loop/train: leads back to"),
        (lambda root: (root / "data_batch_1.bin").touch(), "could be CIFAR-10, binary and images in class folders"),
    ],
)
def test_what_is_wrong_in_the_folder_is_named(
    class_folders: Path, change: Callable[[Path], object], message: str
) -> None:
    change(class_folders)
    with pytest.raises(DatasetError, match=f"{class_folders}.*{message}"):
        load(class_folders)


def test_a_missing_class_folder_of_the_test_set_is_named(class_folders: Path) -> None:
    (class_folders / "val" / "emu").rename(class_folders / "emu")
    with pytest.raises(DatasetError, match=r"val: has no image of class 'emu' \(1 in all\)"):
        load(class_folders)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "imagenet"}, "layout: 'imagenet' is not known; there are folders, casia-iris-v4"),
        ({"split": "random"}, "split: 'random' is not known"),
        ({"split": "subject-disjoint"}, "split: subject-disjoint needs to know the subjects.* give subject_from"),
        ({"channels": 2}, "channels: must be 1"),
        ({"size": (0, 8)}, "size: must be"),
        ({"size": (8,)}, r"size: must be \[h, w\] in pixels from 1 to 65535, is \(8,\)"),
        ({"size": 8}, "size: must be .*, is 8"),
        ({"size": (8.0, 8.0)}, "size: must be"),
        ({"test_share": 0.5}, "test_share: is for folders without a test set"),
        ({"class_from": "(?P<a>x)", "test_share": "half"}, "test_share: must lie between 0 and 1, is 'half'"),
        ({"class_from": 1}, "class_from: 1 is no regular expression"),
        ({"class_from": "("}, "class_from: '\\(' is no regular expression"),
        ({"class_from": "(.)"}, "class_from: .* has no named group"),
        ({"class_from": "(?P<a>x)", "test_share": 1.0}, "test_share: must lie between 0 and 1"),
        ({"class_from": "(?P<a>x)y"}, "class_from .* is not found in '(train|val)/cat/"),
    ],
)
def test_a_wrong_option_is_named(class_folders: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        load(class_folders, **options)


def test_a_size_that_takes_too_much_memory_is_refused_with_the_bytes(class_folders: Path) -> None:
    needed = 27 * 3 * 65_535 * 65_535
    with pytest.raises(DatasetError, match=f"the images take {needed:,} bytes .* give a smaller size"):
        load(class_folders, size=(65_535, 65_535))


SUBJECTS, EYES, NUMBERS = 10, "LR", 5


@pytest.fixture
def casia(tmp_path: Path, write_image: WriteImage) -> Path:
    """CASIA-Iris-Interval of 10 subjects, 2 eyes, 5 images each; every image is of the grey 20 * subject + number."""
    for subject in range(1, SUBJECTS + 1):
        for eye in EYES:
            for number in range(NUMBERS):
                name = f"{subject:03}/{eye}/S1{subject:03}{eye}{number + 1:02}.jpg"
                write_image(tmp_path / "CASIA-Iris-Interval" / name, 20 * subject + number, size=(16, 16))
    return tmp_path / "CASIA-Iris-Interval"


def subjects_in(dataset: Dataset) -> dict[str, set[int]]:
    return {name: {grey // 20 for _, grey in part} for name, part in parts_of(dataset).items()}


def test_casia_s_classes_are_eyes_each_trained_and_tested_alike(casia: Path) -> None:
    dataset = load(casia, layout="casia-iris-v4", validation=20)
    assert (dataset.image_shape, dataset.classes) == ((1, 16, 16), SUBJECTS * len(EYES))
    assert dataset.name == f"{casia} (images, layout casia-iris-v4, by-image)"
    for subject in range(SUBJECTS):
        assert {grey // 20 for label, grey in parts_of(dataset)["train"] if label // 2 == subject} == {subject + 1}
    assert [len(split.labels) for split in (dataset.train, dataset.validation, dataset.test)] == [60, 20, 20]
    assert set(dataset.train.labels.tolist()) == set(range(dataset.classes))
    assert np.bincount(dataset.test.labels).tolist() == [1] * dataset.classes


def test_subject_disjoint_shows_the_test_s_and_the_validation_s_subjects_to_no_training(casia: Path) -> None:
    dataset = load(
        casia,
        layout="casia-iris-v4",
        split="subject-disjoint",
        class_from=r"S\d{4}(?P<eye>[LR])",
        test_share=0.3,
        validation=15,
    )
    assert dataset.classes == 2
    subjects = subjects_in(dataset)
    assert {name: len(found) for name, found in subjects.items()} == {"train": 5, "validation": 2, "test": 3}
    assert set.union(*subjects.values()) == set(range(1, SUBJECTS + 1))


def test_another_seed_draws_other_images_and_the_same_seed_the_same(casia: Path) -> None:
    def tested(seed: int) -> list[tuple[int, int]]:
        return parts_of(load(casia, layout="casia-iris-v4", seed=seed))["test"]

    assert tested(1) == tested(1)
    assert tested(1) != tested(2)


def test_subject_disjoint_with_subjects_as_classes_is_refused_for_what_it_is(casia: Path) -> None:
    with pytest.raises(DatasetError, match=r"class '1001-L' has images of one subject only \(as have 19 more\)"):
        load(casia, layout="casia-iris-v4", split="subject-disjoint")


def test_a_class_of_one_image_is_named(casia: Path, write_image: WriteImage) -> None:
    write_image(casia / "099" / "L" / "S1099L01.jpg", size=(16, 16))
    with pytest.raises(DatasetError, match=r"class '1099-L' has one image, which cannot be both"):
        load(casia, layout="casia-iris-v4")


def test_a_file_that_the_layout_does_not_know_is_named(casia: Path, write_image: WriteImage) -> None:
    stray = write_image(casia / "001" / "mask.jpg", size=(16, 16))
    with pytest.raises(DatasetError, match=f"{stray}: class_from .* is not found in '001/mask.jpg'"):
        load(casia, layout="casia-iris-v4")


def test_too_much_validation_by_subject_is_refused(casia: Path) -> None:
    with pytest.raises(DatasetError, match="no image of 2 of 2 classes is left to train on; lower validation"):
        load(casia, layout="casia-iris-v4", split="subject-disjoint", class_from=r"(?P<eye>[LR])\d\d\.", validation=78)


@pytest.mark.parametrize("share", [0.9, 0.99])
def test_too_large_a_test_by_subject_is_refused(tmp_path: Path, write_image: WriteImage, share: float) -> None:
    for subject in "ab":
        for mood in ("glad", "sad"):
            write_image(tmp_path / f"{subject}_{mood}_1.png")
    with pytest.raises(DatasetError, match=r"with the test drawn by subject, class 'glad' .* lower test_share"):
        load(
            tmp_path,
            class_from="_(?P<mood>[a-z]+)_",
            subject_from="^(?P<who>[a-z])_",
            split="subject-disjoint",
            test_share=share,
        )


def test_ubiris_v1_and_v2_are_read_as_published(tmp_path: Path, write_image: WriteImage) -> None:
    for session in (1, 2):
        for subject in (2, 10, 61):
            for number in range(1, 4):
                write_image(
                    tmp_path / f"v1/Sessao_{session}/{subject}/Img_{subject}_{session}_{number}.jpg", (subject,) * 3
                )
                write_image(tmp_path / f"v2/C{subject}_S{session}_I{number}.tiff", (subject,) * 3)
    for version, classes in (("v1", ["10", "2", "61"]), ("v2", ["10", "2", "61"])):
        dataset = load(tmp_path / version, layout=f"ubiris-{version}")
        assert dataset.image_shape == (3, 4, 6)
        labelled = {label: int(classes[label]) for label in range(3)}
        found = {label: grey for part in parts_of(dataset).values() for label, grey in part}
        assert found == pytest.approx(labelled, abs=2)
    with pytest.raises(DatasetError, match="subject-disjoint needs to know the subjects"):
        load(tmp_path / "v2", layout="ubiris-v2", split="subject-disjoint")


def test_a_flat_folder_is_read_by_expressions_alone(tmp_path: Path, write_image: WriteImage) -> None:
    for subject in "abcd":
        for mood in ("glad", "sad"):
            for number in range(3):
                write_image(tmp_path / f"{subject}_{mood}_{number}.png", 20 * (ord(subject) - ord("a")))
    dataset = load(
        tmp_path,
        class_from="_(?P<mood>[a-z]+)_",
        subject_from="^(?P<who>[a-z])_",
        split="subject-disjoint",
        test_share=0.25,
    )
    assert dataset.name == f"{tmp_path} (images, classes by class_from, subject-disjoint)"
    subjects = subjects_in(dataset)
    assert (dataset.classes, len(subjects["test"]), len(subjects["train"])) == (2, 1, 2)


def test_a_given_test_set_is_checked_for_common_subjects(tmp_path: Path, write_image: WriteImage) -> None:
    for part, subjects in (("train", "abc"), ("test", "d")):
        for subject in subjects:
            for label in ("x", "y"):
                write_image(tmp_path / part / label / f"{subject}1.png", 20 * ord(subject) % 256)
    options = {"split": "subject-disjoint", "subject_from": r"/(?P<who>[a-z])\d"}
    dataset = load(tmp_path, **options)
    assert [len(split.labels) for split in (dataset.train, dataset.validation, dataset.test)] == [4, 2, 2]
    write_image(tmp_path / "test" / "x" / "a2.png", 1)
    with pytest.raises(
        DatasetError, match="test: split is subject-disjoint, but subject 'a' is in the training set too"
    ):
        load(tmp_path, **options)


@pytest.mark.parametrize("source", ["fashion-mnist", "module:function"])
def test_options_for_images_are_refused_elsewhere(source: str) -> None:
    with pytest.raises(DatasetError, match=f"size, channels: only for folders of image files, which '{source}' is not"):
        load_dataset(source, images=ImageOptions(size=(8, 8), channels=1))


def test_a_folder_of_nothing_known_says_what_is_known(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=f"{tmp_path}: has no idx files, no CIFAR-10 .* give layout or class_from"):
        load(tmp_path)
