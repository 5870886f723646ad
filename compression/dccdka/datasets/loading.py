"""From the name of a data set in a study to images in memory."""

from __future__ import annotations

from pathlib import Path

from dccdka.datasets.dataset import Dataset, DatasetError, Split, make_dataset
from dccdka.datasets.fashion_mnist import fashion_mnist_folder
from dccdka.datasets.idx import find_idx_file, read_idx_pair
from dccdka.function_reference import FunctionReferenceError, call_function


def load_dataset(spec: str, *, validation: int = 5000, seed: int = 0) -> Dataset:
    """Load "fashion-mnist", a folder of IDX files, or "module:function"; `validation` images are split off by seed.

    A folder has {train,t10k}-images-idx3-ubyte and {train,t10k}-labels-idx1-ubyte, each also as .gz. The function takes
    no arguments and returns (train_images, train_labels, test_images, test_labels): uint8 [n, c, h, w], integers [n].
    Raises DatasetError.
    """
    if spec == "fashion-mnist":
        return _load_folder(spec, fashion_mnist_folder(), validation, seed)
    if _is_folder(spec):
        return _load_folder(spec, Path(spec), validation, seed)
    if ":" in spec:
        return _load_from_function(spec, validation, seed)
    raise DatasetError(f'data set {spec!r}: no such folder; use "fashion-mnist", a folder, or "module:function"')


def _is_folder(spec: str) -> bool:
    try:
        return Path(spec).is_dir()
    except OSError:  # too long for a path, or below a folder that is not ours
        return False


def _load_folder(name: str, folder: Path, validation: int, seed: int) -> Dataset:
    training, test = (
        (find_idx_file(folder, f"{part}-images"), find_idx_file(folder, f"{part}-labels")) for part in ("train", "t10k")
    )
    return make_dataset(
        name,
        read_idx_pair(*training),
        read_idx_pair(*test),
        training_source=str(training[0]),
        test_source=str(test[0]),
        validation=validation,
        seed=seed,
    )


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
    return make_dataset(
        spec,
        Split(*arrays[:2]),
        Split(*arrays[2:]),
        training_source=f"data set {spec!r}, training part",
        test_source=f"data set {spec!r}, test part",
        validation=validation,
        seed=seed,
    )


def _described(value: object) -> str:
    return f"a tuple of {len(value)}" if isinstance(value, tuple) else type(value).__name__
