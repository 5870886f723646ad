"""Stored logits are the teacher's, of each variant and image in order, and those of other data are refused."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from dccdka.augmentation import variants_of, vary
from dccdka.batches import Batches
from dccdka.datasets import Dataset, Normalization, Split
from dccdka.teachers import NetworkTeacher, StoredLogits, TeacherError, Training
from dccdka.teachers.stored import StoredType
from dccdka.training_config import TrainingConfig

CPU = torch.device("cpu")
Network = Callable[[int], nn.Module]


def training(dataset: Dataset, **options: object) -> Training:
    return Training(dataset, TrainingConfig(batch_size=16, device="cpu", **options), CPU, 8)  # type: ignore[arg-type]


def by_hand(teacher: nn.Module, dataset: Dataset, image: int, variant: int) -> np.ndarray:
    zero, scale = dataset.normalization.zero, dataset.normalization.scale
    pixels = torch.from_numpy(dataset.train.images[image : image + 1]).permute(0, 2, 3, 1)
    shown = vary(pixels, variants_of("flip-shift")[variant], zero).permute(0, 3, 1, 2)
    with torch.no_grad():
        return teacher.eval()((shown.float() - zero) * scale)[0].numpy()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_file_gives_each_batch_the_logits_of_its_variant(
    tmp_path: Path, tiny: Dataset, network: Network, dtype: StoredType
) -> None:
    teachers = network(1), network(2)
    file = tmp_path / "logits.npy"
    StoredLogits.compute(
        NetworkTeacher(*teachers), tiny, augmentation="flip-shift", device="cpu", dtype=dtype, path=file
    )
    assert np.load(file, allow_pickle=False).dtype == dtype
    lessons = StoredLogits.load(file).prepare(training(tiny, augmentation="flip-shift"))
    batches = Batches(tiny.train, tiny.normalization, 16, CPU, "flip-shift")
    for batch in batches.shuffled(torch.Generator().manual_seed(3)):
        logits = lessons.logits(batch, 0)
        assert logits.dtype == torch.float32 and logits.shape == (2, 16, 10)
        for member, teacher in enumerate(teachers):
            expected = by_hand(teacher, tiny, int(batch.indices[5]), batch.variant)
            np.testing.assert_allclose(logits[member, 5], expected, atol=1e-4 if dtype == "float32" else 5e-3)


def test_a_large_file_is_mapped_and_gives_the_same(
    tmp_path: Path, tiny: Dataset, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "logits.npy"
    read = StoredLogits.compute(NetworkTeacher(network(1)), tiny, device="cpu", path=file)
    assert not isinstance(read.values, np.memmap)
    monkeypatch.setattr("dccdka.teachers.stored.MAPPED_FROM_BYTES", 1000)
    mapped = StoredLogits.load(file)
    assert isinstance(mapped.values, np.memmap)
    (batch, *_) = Batches(tiny.train, tiny.normalization, 16, CPU).shuffled(torch.Generator().manual_seed(0))
    both = [stored.prepare(training(tiny)).logits(batch, 0) for stored in (read, mapped)]
    assert torch.equal(*both) and both[0].shape == (16, 10)


def test_large_logits_that_no_one_keeps_are_mapped_too(
    tiny: Dataset, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = NetworkTeacher(network(1), network(2))
    in_memory = StoredLogits.compute(teacher, tiny, augmentation="flip", device="cpu")
    monkeypatch.setattr("dccdka.teachers.stored.MAPPED_FROM_BYTES", 1000)
    mapped = StoredLogits.compute(teacher, tiny, augmentation="flip", device="cpu")
    assert isinstance(mapped.values, np.memmap) and not isinstance(in_memory.values, np.memmap)
    assert np.array_equal(mapped.values, in_memory.values)
    teacher.prepare(training(tiny, augmentation="flip"))


def test_logits_of_another_split_are_refused(tmp_path: Path, tiny: Dataset, network: Network) -> None:
    stored = StoredLogits.compute(NetworkTeacher(network(1)), tiny, device="cpu", path=tmp_path / "logits.npy")
    other = replace(tiny, train=Split(tiny.train.images[::-1], tiny.train.labels[::-1]))
    with pytest.raises(TeacherError, match="stored for another training split"):
        stored.prepare(training(other))


def test_logits_without_the_variants_asked_for_are_refused(tiny: Dataset, network: Network) -> None:
    stored = StoredLogits.compute(NetworkTeacher(network(1)), tiny, device="cpu")
    with pytest.raises(TeacherError, match="stored for augmentation 'none', the training asks for 'flip'"):
        stored.prepare(training(tiny, augmentation="flip"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((7, 10), np.float32), r"expected \[128, 10\], got \[7, 10\]"),
        (np.zeros((3, 128, 9), np.float32), r"expected \[128, 10\], got \[128, 9\]"),
        (np.zeros((128, 10), np.float64), "must be float32 or float16, are float64"),
        (np.zeros((2, 1, 128, 10), np.float32), "expected .1 variants, members, n, classes."),
        (np.zeros(10, np.float32), "expected .1 variants"),
        (np.where(np.arange(128)[:, None] == 77, np.nan, np.zeros((128, 10))).astype(np.float32), "of image 77 by"),
    ],
    ids=["rows", "classes", "type", "variants", "dimensions", "nan"],
)
def test_wrong_logits_are_refused(tiny: Dataset, values: np.ndarray, message: str) -> None:
    with pytest.raises(TeacherError, match=f"logits: .*{message}"):
        StoredLogits(values).prepare(training(tiny))


class KilledAtWork(NetworkTeacher):
    """Passes its check and is killed while it answers."""

    def check(self, dataset: Dataset) -> None:
        pass

    def answer(self, images: torch.Tensor, normalization: Normalization) -> torch.Tensor:
        raise KeyboardInterrupt


def test_an_unfinished_file_is_not_taken_for_a_whole_one(tmp_path: Path, tiny: Dataset, network: Network) -> None:
    file = tmp_path / "logits.npy"
    StoredLogits.compute(NetworkTeacher(network(1)), tiny, device="cpu", path=file)
    with pytest.raises(KeyboardInterrupt):
        StoredLogits.compute(KilledAtWork(network(2)), tiny, device="cpu", path=file)
    assert not file.exists()


@pytest.mark.parametrize("damage", ["pickle", "truncated", "other", "huge", "about", "missing"])
def test_damaged_files_are_refused_by_name(tmp_path: Path, tiny: Dataset, network: Network, damage: str) -> None:
    file = tmp_path / "logits.npy"
    StoredLogits.compute(NetworkTeacher(network(1)), tiny, device="cpu", path=file)
    content = file.read_bytes()
    match damage:
        case "pickle":
            np.save(file, np.array([{"a": 1}], object), allow_pickle=True)
        case "truncated":
            file.write_bytes(content[:-100])
        case "other":
            file.write_bytes(b"not an array")
        case "huge":
            file.write_bytes(content.replace(b"128, 10)", b"9000000000000, 10)"))
        case "about":
            file.with_name("logits.npy.json").write_text(json.dumps(["flip"]))
        case "missing":
            file.unlink()
    with pytest.raises(TeacherError, match=r"logits\.npy"):
        StoredLogits.load(file)


def test_where_there_is_no_folder_or_no_room_nothing_is_begun(
    tmp_path: Path, tiny: Dataset, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    def store(path: Path | None) -> StoredLogits:
        return StoredLogits.compute(NetworkTeacher(network(1)), tiny, device="cpu", path=path)

    with pytest.raises(TeacherError, match=f"^{tmp_path}/none: cannot hold logits: No such file or directory; make it"):
        store(tmp_path / "none" / "logits.npy")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=5119))
    with pytest.raises(TeacherError, match=f"^{tmp_path}: the logits take 5,120 bytes, 5,119 are free"):
        store(tmp_path / "logits.npy")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("dccdka.teachers.stored.MAPPED_FROM_BYTES", 0)
    with pytest.raises(TeacherError, match=f"^{tempfile.gettempdir()}: the logits take 5,120 bytes"):
        store(None)
