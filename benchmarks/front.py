"""How small a Fashion-MNIST network can be, and how accurate, after a long training: an hour of each of 2 cores.

Wide ResNet-8s, trained on mirrored and shifted images, teach students of two widths. The larger student sees such
images too, with the logits of both teachers stored for every variant; the smaller learns more from the images as they
are, and from one teacher. Accuracy is that of the packed integer network. Each student is kept as soon as it is
trained, and a training that was stopped goes on from its checkpoint.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from benchmarks.arguments import positive, writable_folder
from benchmarks.markdown import table
from dccdka.augmentation import Augmentation
from dccdka.datasets import Dataset, load_dataset
from dccdka.lowering import lower
from dccdka.models import ResNet8
from dccdka.packing import accuracy as integer_accuracy
from dccdka.packing import pack, read_artifact
from dccdka.progress import Progress
from dccdka.recipe import Recipe, Schedule
from dccdka.teachers import NetworkTeacher, StoredLogits
from dccdka.training import compress, train_teacher
from dccdka.training_config import TrainingConfig

CALIBRATION_IMAGES = 2048
# Nothing is chosen here by validation accuracy, so few images suffice for it; the rest teaches.
VALIDATION_IMAGES = 2000
# The weights are shared and rounded in the last quarter: that much is enough to learn codebooks, and what is left of
# the training has the full precision.
_SCHEDULE = Schedule(
    warm_up=0.05,
    pruning_begin=0.05,
    pruning_end=0.5,
    clustering_begin=0.75,
    quantization_begin=0.75,
    quantization_final=0.85,
)


@dataclass(frozen=True)
class Teacher:
    """A ResNet-8 whose first convolution has this stride: 1 keeps the resolution, at four times the products."""

    name: str
    width: int
    stem_stride: int
    epochs: int


@dataclass(frozen=True)
class Student:
    """A ResNet-8 with a first convolution of stride 1."""

    name: str
    teachers: tuple[Teacher, ...]
    width: int
    epochs: int
    learning_rate: float
    augmentation: Augmentation
    recipe: Recipe


def _recipe(final_sparsity: float, clusters: int) -> Recipe:
    return Recipe(3.0, final_sparsity, clusters, 8, alpha=0.9, pruning="global", schedule=_SCHEDULE)


_STRIDED = Teacher("strided", 32, 2, 16)
_FULL = Teacher("full", 32, 1, 12)
STUDENTS = (
    Student("width 10, 86%, 8 clusters", (_STRIDED,), 10, 50, 0.015, "none", _recipe(0.86, 8)),
    Student("width 20, 81%, 8 clusters", (_STRIDED, _FULL), 20, 80, 0.01, "flip-shift", _recipe(0.81, 8)),
)


@dataclass(frozen=True)
class Result:
    """seconds: of training, packing and evaluating on one thread, without the teachers'."""

    student: str
    epochs: int
    artifact_bytes: int
    arena_bytes: int
    validation_accuracy: float
    test_accuracy: float
    seconds: float


@lru_cache(maxsize=1)
def _dataset() -> Dataset:
    return load_dataset("fashion-mnist", validation=VALIDATION_IMAGES)


def _network(width: int, stem_stride: int, seed: int) -> ResNet8:
    torch.manual_seed(seed)
    channels, _, _ = _dataset().image_shape
    return ResNet8(width=width, channels=channels, classes=_dataset().classes, stem_stride=stem_stride)


def _training(epochs: int, learning_rate: float, augmentation: Augmentation) -> TrainingConfig:
    return TrainingConfig(epochs, 128, learning_rate, augmentation=augmentation, autocast="bf16")


def prepare_teacher(teacher: Teacher, folder: Path) -> ResNet8:
    """The teacher, trained when it is not in the folder."""
    torch.set_num_threads(1)
    weights = folder / f"front-teacher-{teacher.name}.safetensors"
    network = _network(teacher.width, teacher.stem_stride, seed=0)
    if weights.exists():
        network.load_state_dict(load_file(weights))
    else:
        checkpoint = weights.with_suffix(".checkpoint")
        settings = _training(teacher.epochs, 0.005, "flip-shift")
        train_teacher(network, _dataset(), settings, _EpochsTold(f"teacher {teacher.name}"), checkpoint=checkpoint)
        save_file(network.state_dict(), weights)
        checkpoint.unlink()
    return network


def store_logits(student: Student, folder: Path) -> Path:
    """Where its teachers' logits lie for every variant that the student sees of every training image."""
    names = "-".join(teacher.name for teacher in student.teachers)
    path = folder / f"front-logits-{names}-{student.augmentation}.npy"
    if not path.exists():
        teachers = NetworkTeacher(*(prepare_teacher(teacher, folder) for teacher in student.teachers))
        with torch.autocast("cpu", torch.bfloat16):
            StoredLogits.compute(teachers, _dataset(), augmentation=student.augmentation, dtype="float16", path=path)
    return path


def train_student(student: Student, folder: Path) -> Result:
    """Train, pack and evaluate one student, on one thread; the logits of its teachers first, when not in the folder."""
    torch.set_num_threads(1)
    logits = store_logits(student, folder)
    dataset, began = _dataset(), time.monotonic()
    checkpoint = folder / f"front-{student.name.replace(', ', '-').replace(' ', '-').replace('%', '')}.checkpoint"
    compressed = compress(
        _network(student.width, stem_stride=1, seed=0),
        dataset,
        student.recipe,
        StoredLogits.load(logits),
        training=_training(student.epochs, student.learning_rate, student.augmentation),
        checkpoint=checkpoint,
        on_progress=_EpochsTold(student.name),
    )
    artifact = read_artifact(pack(lower(compressed, dataset.train.images[:CALIBRATION_IMAGES], dataset.normalization)))
    (folder / f"{artifact.sha256}.dcca").write_bytes(artifact.data)
    result = Result(
        student.name,
        student.epochs,
        len(artifact.data),
        artifact.arena_bytes,
        integer_accuracy(artifact, dataset.validation),
        integer_accuracy(artifact, dataset.test),
        round(time.monotonic() - began),
    )
    checkpoint.unlink()
    return result


def run(students: Sequence[Student], folder: Path, workers: int) -> list[Result]:
    """Of the students; those that are not on file yet are trained."""
    file = folder / "front.jsonl"
    kept = [Result(**json.loads(line)) for line in file.read_text("utf-8").splitlines()] if file.exists() else []
    have = {(result.student, result.epochs) for result in kept}
    missing = [student for student in students if (student.name, student.epochs) not in have]
    if missing:
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            try:
                teachers = {teacher for student in missing for teacher in student.teachers}
                for prepared in [pool.submit(prepare_teacher, teacher, folder) for teacher in teachers]:
                    prepared.result()
                for future in as_completed([pool.submit(train_student, each, folder) for each in missing]):
                    kept.append(future.result())
                    with file.open("a", encoding="utf-8") as lines:
                        lines.write(json.dumps(asdict(kept[-1])) + "\n")
                    _say(f"{kept[-1]}")
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    wanted = {(student.name, student.epochs) for student in students}
    return sorted((r for r in kept if (r.student, r.epochs) in wanted), key=lambda result: result.artifact_bytes)


class _EpochsTold:
    """Says when an epoch of a training has begun."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.epoch = 0

    def __call__(self, progress: Progress) -> None:
        if progress.epoch > self.epoch:
            self.epoch = progress.epoch
            _say(f"{self.name}: {progress.step / progress.steps:.0%}, loss {progress.loss:.3f}")


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _printed(results: Sequence[Result]) -> str:
    return table(
        ("student", "epochs", "test accuracy", "validation", "artifact bytes", "arena bytes", "training s"),
        [
            (
                result.student,
                str(result.epochs),
                f"{result.test_accuracy:.2%}",
                f"{result.validation_accuracy:.2%}",
                f"{result.artifact_bytes:,}",
                f"{result.arena_bytes:,}",
                f"{result.seconds:.0f}",
            )
            for result in results
        ],
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.front",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  python -m benchmarks.front                  all students\n"
        "  python -m benchmarks.front --epochs 4       a quick look\n"
        "  python -m benchmarks.front --json",
    )
    parser.add_argument("--epochs", type=positive, help="of every student, instead of its own")
    parser.add_argument("--only", nargs="+", metavar="STUDENT", help="students to train")
    parser.add_argument("--workers", type=positive, default=2, help="trainings at once, one thread each (default: 2)")
    parser.add_argument("--folder", type=writable_folder, default="build/benchmarks", help="for what is trained")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    names = [student.name for student in STUDENTS]
    for name in options.only or ():
        if name not in names:
            parser.error(f"--only: there is no student {name!r}; there are: {'; '.join(names)}")
    students = [student for student in STUDENTS if options.only is None or student.name in options.only]
    if options.epochs is not None:
        students = [replace(student, epochs=options.epochs) for student in students]
    try:
        results = run(students, options.folder, options.workers)
    except KeyboardInterrupt:
        _say(f"interrupted; the same command goes on from what is in {options.folder}")
        raise SystemExit(130) from None
    print(json.dumps([asdict(result) for result in results], indent=2) if options.json else _printed(results))


if __name__ == "__main__":
    main()
