"""From the name of a data set in a study to images in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dccdka.datasets.cifar import CIFAR_VERSIONS, CifarVersion, read_cifar
from dccdka.datasets.dataset import Dataset, DatasetError, Split, make_dataset, require_whole_numbers
from dccdka.datasets.fashion_mnist import fashion_mnist_folder
from dccdka.datasets.idx import find_idx_file, read_idx_pair
from dccdka.datasets.image_folder import load_image_folder
from dccdka.datasets.image_layout import ImageOptions
from dccdka.datasets.npz import read_npz
from dccdka.function_reference import FunctionReferenceError, call_function

_FORMS = '"fashion-mnist", a folder, a .npz file, or "module:function"'
_NO_OPTIONS = ImageOptions()


def load_dataset(
    spec: str | Path, *, validation: int = 5000, seed: int = 0, images: ImageOptions = _NO_OPTIONS
) -> Dataset:
    """Load what the spec names; `validation` images are split off the training set by seed.

    "fashion-mnist"; a .npz file (npz.py); "module:function", a function without arguments that returns (train_images,
    train_labels, test_images, test_labels), uint8 [n, c, h, w] and integers [n]; or a folder, which is taken for what
    lies in it: idx files ({train,t10k}-{images,labels}-idx?-ubyte, each also .gz), CIFAR-10 or CIFAR-100 (cifar.py), or
    train/CLASS/ with image files. What it was taken for is in the data set's name. With images.layout or
    images.class_from, a folder is one of image files (image_folder.py); those options are for such folders only.
    Raises DatasetError.
    """
    require_whole_numbers(validation, seed)
    spec = str(spec)
    if spec == "fashion-mnist":
        _refuse_options(images, spec)
        return _load_idx(spec, fashion_mnist_folder(), validation, seed)
    if _exists(spec, Path.is_dir):
        return _load_folder(spec, Path(spec), images, validation, seed)
    if spec.endswith(".npz"):
        if not _exists(spec, Path.is_file):
            raise DatasetError(f"data set {spec!r}: no such file")
        _refuse_options(images, spec)
        sets = read_npz(Path(spec))
        return _made(f"{spec} (npz)", sets, (f"{spec}, training set", f"{spec}, test set"), validation, seed)
    if ":" in spec:
        _refuse_options(images, spec)
        return _load_from_function(spec, validation, seed)
    raise DatasetError(f"data set {spec!r}: no such folder; use {_FORMS}")


def _exists(spec: str, of_a_kind: Callable[[Path], bool]) -> bool:
    try:
        return of_a_kind(Path(spec))
    except (OSError, ValueError):  # too long for a path, below a folder that is not ours, or with a zero byte
        return False


def _refuse_options(images: ImageOptions, spec: str) -> None:
    if images.given():
        raise DatasetError(f"{', '.join(images.given())}: only for folders of image files, which {spec!r} is not")


def _load_folder(spec: str, folder: Path, images: ImageOptions, validation: int, seed: int) -> Dataset:
    if images.layout is not None or images.class_from is not None:
        return load_image_folder(spec, folder, images, validation=validation, seed=seed)
    try:
        kinds = _kinds_in(folder)
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be read ({error})") from error
    if not kinds:
        raise DatasetError(
            f"{folder}: has no idx files, no CIFAR-10 or CIFAR-100, and no train/ with a folder of images for each "
            "class; for other folders of images give layout or class_from"
        )
    if len(kinds) > 1:
        names = " and ".join(kind if isinstance(kind, str) else kind.name for kind in kinds)
        raise DatasetError(f"{folder}: could be {names}; leave one of them in it")
    kind = kinds[0]
    if kind == _IMAGES:
        return load_image_folder(spec, folder, images, validation=validation, seed=seed)
    _refuse_options(images, spec)
    if isinstance(kind, CifarVersion):
        sources = f"{folder}, training batches", str(folder / kind.test)
        return _made(f"{spec} ({kind.name})", read_cifar(folder, kind), sources, validation, seed)
    return _load_idx(f"{spec} (idx files)", folder, validation, seed)


_IDX = "idx files"
_IMAGES = "images in class folders"


def _kinds_in(folder: Path) -> list[str | CifarVersion]:
    """What the folder could be taken for, by the names in it; one file of a kind suffices, so others can be missed."""
    entries = list(folder.iterdir())
    files = {entry.name for entry in entries if entry.is_file()}
    kinds: list[str | CifarVersion] = [
        version for version in CIFAR_VERSIONS if not files.isdisjoint((*version.training, version.test))
    ]
    if any(name.startswith(("train-", "t10k-")) and "-ubyte" in name for name in files):
        kinds.append(_IDX)
    if any(entry.name == "train" and entry.is_dir() for entry in entries):
        kinds.append(_IMAGES)
    return kinds


def _load_idx(name: str, folder: Path, validation: int, seed: int) -> Dataset:
    training, test = (
        (find_idx_file(folder, f"{part}-images"), find_idx_file(folder, f"{part}-labels")) for part in ("train", "t10k")
    )
    sets = read_idx_pair(*training), read_idx_pair(*test)
    return _made(name, sets, (str(training[0]), str(test[0])), validation, seed)


def _load_from_function(spec: str, validation: int, seed: int) -> Dataset:
    try:
        arrays = call_function(spec)
    except FunctionReferenceError as error:
        raise DatasetError(f"data set {error}") from error
    if not isinstance(arrays, tuple) or len(arrays) != 4:
        raise DatasetError(
            f"data set {spec!r}: must return (train_images, train_labels, test_images, test_labels), returned "
            f"{_described(arrays)}"
        )
    sources = f"data set {spec!r}, training part", f"data set {spec!r}, test part"
    return _made(spec, (Split(*arrays[:2]), Split(*arrays[2:])), sources, validation, seed)


def _made(name: str, sets: tuple[Split, Split], sources: tuple[str, str], validation: int, seed: int) -> Dataset:
    return make_dataset(
        name, *sets, training_source=sources[0], test_source=sources[1], validation=validation, seed=seed
    )


def _described(value: object) -> str:
    return f"a tuple of {len(value)}" if isinstance(value, tuple) else type(value).__name__
