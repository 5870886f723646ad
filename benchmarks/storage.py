"""What an artifact's bytes are spent on, beside the entropy of its weights, which no code of single weights goes below.

The MLPerf Tiny networks under the recipes of benchmarks.kernels, with random weights: the most that training can end
with. --trained adds ResNet-8 of the width of mlperf-ic, trained on Fashion-MNIST for a few epochs: clusters that have
been learnt are not equally frequent.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import torch

from benchmarks.kernels.cases import MODELS, RECIPES, make_artifact
from benchmarks.markdown import table
from dccdka.datasets import Dataset, DatasetError, Split, load_dataset
from dccdka.lowering import lower
from dccdka.models import build_model
from dccdka.packing import pack, read_artifact
from dccdka.packing.sizes import ArtifactSizes, artifact_sizes
from dccdka.recipe import Recipe
from dccdka.training import TrainingConfig, compress

TRAINED = "resnet8, trained"
_TRAINING_IMAGES, _CALIBRATION_IMAGES, _EPOCHS = 12_800, 512, 4
_HEAD = ["model", "recipe", "weights", "entropy", "artifact", "ratio", "streams", "tables", "channels", "rest"]

_NOTE = (
    "In bytes. Entropy: zero-order, of each layer's weights, zeros being a symbol. Tables: codebooks and frequencies.\n"
    "Rest: header, tensors, records."
)


@dataclass(frozen=True)
class Row:
    """model, recipe: names."""

    model: str
    recipe: str
    sizes: ArtifactSizes

    @property
    def ratio(self) -> float | None:
        """Of the artifact to its weights' entropy; None where that is 0."""
        return self.sizes.total / self.sizes.entropy if self.sizes.entropy else None

    def as_json(self) -> dict[str, object]:
        """Sizes in bytes."""
        sizes = self.sizes
        layers = [
            asdict(layer) | {"choice": {"kernel": layer.choice.kernel.name, "encoding": layer.choice.encoding.name}}
            for layer in sizes.layers
        ]
        return {
            "model": self.model,
            "recipe": self.recipe,
            "weights": sum(layer.weights for layer in sizes.layers),
            "entropy_bytes": sizes.entropy,
            "artifact_bytes": sizes.total,
            "ratio": self.ratio,
            "stream_bytes": sizes.stream,
            "table_bytes": sizes.tables,
            "channel_bytes": sizes.channels,
            "padding_bytes": sizes.padding,
            "record_bytes": sizes.records,
            "layers": layers,
        }

    def cells(self) -> list[str]:
        sizes = self.sizes
        weights = sum(layer.weights for layer in sizes.layers)
        parts = (sizes.stream, sizes.tables, sizes.channels, sizes.padding + sizes.records)
        return [
            self.model,
            self.recipe,
            f"{weights:,}",
            f"{sizes.entropy:,.0f}",
            f"{sizes.total:,}",
            "" if self.ratio is None else f"{self.ratio:.3f}",
            *(f"{part:,}" for part in parts),
        ]


def rows(models: Sequence[str], recipes: Sequence[str]) -> Iterator[Row]:
    """Of names in MODELS and RECIPES."""
    for model in models:
        for recipe in recipes:
            yield Row(model, recipe, artifact_sizes(read_artifact(make_artifact(model, recipe))))


def trained_rows(dataset: Dataset, recipes: Sequence[str]) -> Iterator[Row]:
    """Of ResNet-8, trained on all images of the dataset."""
    for recipe in recipes:
        artifact = trained_artifact(dataset, RECIPES[recipe])
        yield Row(TRAINED, recipe, artifact_sizes(read_artifact(artifact)))


def trained_artifact(dataset: Dataset, recipe: Recipe) -> bytes:
    """Of ResNet-8 under the recipe; the same each time on the same machine."""
    torch.manual_seed(0)
    model = build_model("resnet8", width=16, image_shape=dataset.image_shape, classes=dataset.classes)
    compressed = compress(model, dataset, recipe, training=TrainingConfig(epochs=_EPOCHS, device="cpu"))
    return pack(lower(compressed, dataset.train.images[:_CALIBRATION_IMAGES], dataset.normalization))


def first_images(dataset: Dataset, count: int) -> Dataset:
    """With so many images to train on."""
    return replace(dataset, train=Split(dataset.train.images[:count], dataset.train.labels[:count]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or JSON, a row a line. The exit status is 1 when the images to train on are missing."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.storage", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for option, names in (("models", MODELS), ("recipes", RECIPES)):
        # argparse formats help with %, which recipes have in their names.
        shown = ", ".join(names).replace("%", "%%")
        parser.add_argument(f"--{option}", nargs="+", metavar=option[:-1].upper(), help=f"of {shown}; default: all")
    parser.add_argument("--trained", action="store_true", help="train as well, half a minute a recipe")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table: one object a row, as it is done")
    options = parser.parse_args(arguments)
    chosen: dict[str, list[str]] = {}
    for option, names in (("models", MODELS), ("recipes", RECIPES)):
        chosen[option] = getattr(options, option) or list(names)
        for name in chosen[option]:
            if name not in names:
                parser.error(f"--{option}: {name!r} is none of {', '.join(names)}")
    torch.set_num_threads(1)
    done = []
    try:
        dataset = first_images(load_dataset("fashion-mnist"), _TRAINING_IMAGES) if options.trained else None
        for row in _all(chosen["models"], chosen["recipes"], dataset):
            done.append(row)
            if options.json:
                print(json.dumps(row.as_json()), flush=True)
    except DatasetError as error:
        print(f"storage: {error}", file=sys.stderr)
        return 1
    if not options.json:
        print(f"{table(_HEAD, [row.cells() for row in done])}\n\n{_NOTE}")
    return 0


def _all(models: Sequence[str], recipes: Sequence[str], dataset: Dataset | None) -> Iterator[Row]:
    yield from rows(models, recipes)
    if dataset is not None:
        yield from trained_rows(dataset, recipes)


if __name__ == "__main__":
    sys.exit(main())
