"""What each part of DCCDKA brings on Fashion-MNIST: every variant gets the same epochs, three seeds and one student.

The student is ResNet-8, the teacher a wider one whose logits are computed once. Accuracy is that of the packed integer
network on the test set, except for the float row. Results are kept as they come, in a file beside the teacher's logits:
a second call goes on where the first was stopped.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from benchmarks.arguments import at_least, positive, positive_number, writable_folder
from benchmarks.markdown import table
from dccdka.datasets import Dataset, load_dataset
from dccdka.lowering import lower
from dccdka.models import build_model, parameter_count
from dccdka.packing import accuracy as integer_accuracy
from dccdka.packing import pack, read_artifact
from dccdka.recipe import Recipe, Schedule
from dccdka.teachers import NetworkTeacher, StoredLogits
from dccdka.training import accuracy, compress, train_teacher
from dccdka.training_config import TrainingConfig

STUDENT_WIDTH, TEACHER_WIDTH = 8, 16
CALIBRATION_IMAGES = 512
SEEDS = (0, 1, 2)
# Fine-tuning begins from trained weights: a lower peak keeps what they have learned.
FINE_TUNING_RATE = 0.3

_UNROUNDED = Schedule(quantization_begin=1.0, quantization_final=1.0)
_FULL = Recipe(temperature=2.0, final_sparsity=0.8, clusters=8, bits=4)
_DENSE = replace(_FULL, final_sparsity=0.0, clusters=None, bits=8, schedule=_UNROUNDED)
_PRUNED = replace(_DENSE, final_sparsity=_FULL.final_sparsity)
_CLUSTERED = replace(_DENSE, clusters=_FULL.clusters)
_QUANTISED = replace(_DENSE, bits=_FULL.bits, schedule=Schedule())


@dataclass(frozen=True)
class Stage:
    """A training that goes on from the one before; share: of the variant's epochs."""

    recipe: Recipe
    share: float = 1.0
    rate: float = 1.0


@dataclass(frozen=True)
class Variant:
    """One row of the table. stages: none is the float network, trained on the labels and left as it is."""

    name: str
    stages: tuple[Stage, ...]
    distilled: bool = True


def _collaborative(name: str, recipe: Recipe = _FULL, distilled: bool = True) -> Variant:
    return Variant(name, (Stage(recipe),), distilled)


def _with_noise(noise: float) -> Recipe:
    return replace(_FULL, schedule=replace(_FULL.schedule, noise=noise))


def _sequence(name: str, distilled: bool = True) -> Variant:
    """Prune, then cluster, then quantise, as separate tools are chained; zeros stay zeros from the first stage on."""
    on_from_the_start = replace(_UNROUNDED, pruning_begin=0.0, pruning_end=0.0, clustering_begin=0.0)
    pruned = replace(_FULL, initial_sparsity=_FULL.final_sparsity, schedule=on_from_the_start)
    cluster = replace(pruned, bits=8)
    quantise = replace(pruned, schedule=replace(on_from_the_start, quantization_begin=0.0, quantization_final=0.5))
    stages = (
        Stage(_PRUNED, 0.5),
        Stage(cluster, 0.25, FINE_TUNING_RATE),
        Stage(quantise, 0.25, FINE_TUNING_RATE),
    )
    return Variant(name, stages, distilled)


VARIANTS = (
    Variant("dense float, labels alone", (), distilled=False),
    Variant("dense 8-bit, labels alone", (Stage(_DENSE),), distilled=False),
    Variant("dense 8-bit", (Stage(_DENSE),)),
    Variant("prune alone", (Stage(_PRUNED),)),
    Variant("cluster alone", (Stage(_CLUSTERED),)),
    Variant("quantise alone", (Stage(_QUANTISED),)),
    _sequence("sequence, labels alone", distilled=False),
    _sequence("sequence"),
    _collaborative("collaborative, labels alone", distilled=False),
    _collaborative("collaborative"),
    _collaborative("centroids: density", replace(_FULL, centroid_init="density")),
    _collaborative("centroids: Forgy", replace(_FULL, centroid_init="forgy")),
    _collaborative("loss: T^2 L1 + L2", replace(_FULL, loss="t_squared")),
    _collaborative("loss: L1 + L2", replace(_FULL, loss="sum")),
    _collaborative("noise p = 0", _with_noise(0.0)),
    _collaborative("noise p = 1", _with_noise(1.0)),
)


@dataclass(frozen=True)
class Result:
    """One training. artifact_bytes of the float row are its parameters as float32."""

    variant: str
    seed: int
    epochs: int
    test_accuracy: float
    artifact_bytes: int


@dataclass(frozen=True)
class Settings:
    """folder: where logits and results are kept."""

    folder: Path
    epochs: int
    learning_rate: float
    batch_size: int

    def training(self, seed: int, stage: Stage | None = None) -> TrainingConfig:
        share, rate = (stage.share, stage.rate) if stage is not None else (1.0, 1.0)
        return TrainingConfig(
            epochs=round(share * self.epochs),
            batch_size=self.batch_size,
            learning_rate=rate * self.learning_rate,
            seed=seed,
            device="cpu",
            autocast="bf16",
        )

    @property
    def logits(self) -> Path:
        return self.folder / f"teacher-{self.epochs}-epochs.npy"

    @property
    def results(self) -> Path:
        return self.folder / "ablation.jsonl"


@lru_cache(maxsize=1)
def _dataset() -> Dataset:
    return load_dataset("fashion-mnist")


def _network(width: int, seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    return build_model("resnet8", width=width, image_shape=_dataset().image_shape, classes=_dataset().classes)


def prepare_teacher(settings: Settings) -> None:
    """Leaves the teacher's logits in the folder; does nothing where they are."""
    if settings.logits.exists():
        return
    torch.set_num_threads(1)
    teacher = _network(TEACHER_WIDTH, seed=0)
    train_teacher(teacher, _dataset(), replace(settings.training(seed=0), learning_rate=0.01))
    StoredLogits.compute(NetworkTeacher(teacher), _dataset(), device="cpu", path=settings.logits)


def run(variant: Variant, seed: int, settings: Settings) -> Result:
    """Train one variant with one seed, on one thread."""
    torch.set_num_threads(1)
    dataset, network = _dataset(), _network(STUDENT_WIDTH, seed)
    if not variant.stages:
        train_teacher(network, dataset, settings.training(seed))
        test = accuracy(network, dataset.test, dataset.normalization, device="cpu")
        return Result(variant.name, seed, settings.epochs, test, 4 * parameter_count(network))
    teacher = StoredLogits.load(settings.logits) if variant.distilled else None
    for stage in variant.stages:
        compressed = compress(network, dataset, stage.recipe, teacher, training=settings.training(seed, stage))
        network = compressed.module
    artifact = read_artifact(pack(lower(compressed, dataset.train.images[:CALIBRATION_IMAGES], dataset.normalization)))
    test = integer_accuracy(artifact, dataset.test)
    return Result(variant.name, seed, settings.epochs, test, len(artifact.data))


def results_of(settings: Settings, variants: Sequence[Variant], workers: int) -> list[Result]:
    """The results on file, and those that were missing, each of which is on file as soon as it is there."""
    kept = [result for result in _on_file(settings) if result.epochs == settings.epochs]
    have = {(result.variant, result.seed) for result in kept}
    missing = [(variant, seed) for seed in SEEDS for variant in variants if (variant.name, seed) not in have]
    if not missing:
        return kept
    prepare_teacher(settings)
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = [pool.submit(run, variant, seed, settings) for variant, seed in missing]
        try:
            for number, future in enumerate(as_completed(waiting), 1):
                result = future.result()
                kept.append(result)
                with settings.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(result)) + "\n")
                _say(f"{number}/{len(missing)} {result.variant}, seed {result.seed}: {result.test_accuracy:.2%}")
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return kept


def _on_file(settings: Settings) -> list[Result]:
    if not settings.results.exists():
        return []
    return [Result(**json.loads(line)) for line in settings.results.read_text(encoding="utf-8").splitlines()]


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def rows(results: Iterable[Result], variants: Sequence[Variant]) -> list[dict[str, Any]]:
    """Mean, least and greatest accuracy and mean bytes of each variant that has results."""
    summary = []
    for variant in variants:
        own = [result for result in results if result.variant == variant.name]
        if own:
            accuracies = [result.test_accuracy for result in own]
            summary.append(
                {
                    "variant": variant.name,
                    "seeds": len(own),
                    "test_accuracy": statistics.fmean(accuracies),
                    "lowest": min(accuracies),
                    "highest": max(accuracies),
                    "artifact_bytes": round(statistics.fmean(result.artifact_bytes for result in own)),
                }
            )
    return summary


def _printed(summary: Sequence[dict[str, Any]]) -> str:
    return table(
        ("variant", "seeds", "test accuracy", "lowest", "highest", "bytes"),
        [
            (
                row["variant"],
                str(row["seeds"]),
                f"{row['test_accuracy']:.2%}",
                f"{row['lowest']:.2%}",
                f"{row['highest']:.2%}",
                f"{row['artifact_bytes']:,}",
            )
            for row in summary
        ],
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ablation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  python -m benchmarks.ablation                       the whole table\n"
        "  python -m benchmarks.ablation --epochs 4 --only collaborative sequence\n"
        "  python -m benchmarks.ablation --json > ablation.json",
    )
    parser.add_argument("--epochs", type=int, default=8, help="of every variant, a multiple of 4 (default: 8)")
    parser.add_argument("--learning-rate", type=positive_number, default=0.02, help="Adam's at the peak (%(default)s)")
    parser.add_argument("--batch-size", type=at_least(2), default=128)
    parser.add_argument("--workers", type=positive, default=2, help="trainings at once, one thread each (default: 2)")
    parser.add_argument("--folder", type=writable_folder, default="build/benchmarks", help="for logits and results")
    parser.add_argument("--only", nargs="+", metavar="VARIANT", help="rows to run")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    if options.epochs < 4 or options.epochs % 4:
        parser.error(f"--epochs: must be a multiple of 4, for the stages of the sequence; got {options.epochs}")
    names = [variant.name for variant in VARIANTS]
    for name in options.only or ():
        if name not in names:
            parser.error(f"--only: there is no variant {name!r}; there are: {'; '.join(names)}")
    settings = Settings(options.folder, options.epochs, options.learning_rate, options.batch_size)
    chosen = [variant for variant in VARIANTS if options.only is None or variant.name in options.only]
    try:
        summary = rows(results_of(settings, chosen, options.workers), chosen)
    except KeyboardInterrupt:
        _say(f"interrupted; what is finished is in {settings.results}, the same command goes on from there")
        raise SystemExit(130) from None
    print(json.dumps(summary, indent=2) if options.json else _printed(summary))


if __name__ == "__main__":
    main()
