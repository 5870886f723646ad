"""How near ONNX Runtime's results on exported models come to the devices': whole networks, and each operator alone.

Each network is trained and compressed for 400 steps on Fashion-MNIST and exported; test images then go through ONNX
Runtime, with its optimisations and without (the row has the worse figure), and through the reference interpreter.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import torch

from benchmarks.markdown import table
from benchmarks.storage import first_images
from dccdka.datasets import Dataset, DatasetError, Split, load_dataset
from dccdka.export.onnx_check import Agreement, NetworkAgreement, network_agreement, operator_agreements
from dccdka.export.onnx_model import onnx_model
from dccdka.lowering import lower
from dccdka.models import build_model
from dccdka.packing import pack, read_artifact, to_device_input
from dccdka.packing.artifact import Artifact
from dccdka.packing.reference import accuracy
from dccdka.recipe import Recipe
from dccdka.training import TrainingConfig, compress

NETWORKS = {"resnet8": 8, "ds-cnn": 16, "mobilenetv1": 8, "mobilenetv2": 8}  # and their widths
# With 8 bits: a network that learns nothing from so few steps agrees whatever the model is, as its accuracy shows.
RECIPES = {"dense": Recipe(1, 0, 256, 8), "50%/64": Recipe(1, 0.5, 64, 8), "80%/16": Recipe(1, 0.8, 16, 8)}
_TRAINING = TrainingConfig(epochs=2, batch_size=64, learning_rate=0.005, device="cpu")
_TRAINING_IMAGES, _CALIBRATION_IMAGES = 12_800, 256
_IMAGES, _ALONE_IMAGES = 1000, 200
_HEAD = ["network", "recipe", "accuracy", "values", "differ", "steps", "outputs", "differ", "steps", "predictions"]
_NOTE = (
    "values, differ, steps: inside, each operator by itself, on 200 images; how many differ, and by how much at most.\n"
    "outputs, differ, steps, predictions: of the whole network on 1000 images; how many predictions are the same."
)


@dataclass(frozen=True)
class Row:
    """network, recipe: names. accuracy: of the integers, on the images. whole, operators: plain and optimised."""

    network: str
    recipe: str
    accuracy: float
    whole: tuple[NetworkAgreement, NetworkAgreement]
    operators: tuple[tuple[Agreement, ...], tuple[Agreement, ...]]

    def cells(self) -> list[str]:
        alone = self.operators[0]
        return [
            self.network,
            self.recipe,
            f"{self.accuracy:.1%}",
            f"{sum(operator.values for operator in alone):,}",
            f"{max(sum(operator.differing for operator in mode) for mode in self.operators):,}",
            f"{max(operator.steps for mode in self.operators for operator in mode)}",
            f"{self.whole[0].outputs.values:,}",
            f"{max(mode.outputs.differing for mode in self.whole):,}",
            f"{max(mode.outputs.steps for mode in self.whole)}",
            f"{min(mode.predictions for mode in self.whole):.1%}",
        ]


def rows(dataset: Dataset, networks: Sequence[str], recipes: Sequence[str]) -> Iterator[Row]:
    """Of names in NETWORKS and RECIPES; trained on all images of the dataset."""
    seen = Split(dataset.test.images[:_IMAGES], dataset.test.labels[:_IMAGES])
    inputs = to_device_input(seen.images)
    for network in networks:
        for recipe in recipes:
            artifact = _trained(dataset, network, RECIPES[recipe])
            model = onnx_model(artifact, "network")
            plain, optimised = (network_agreement(model, artifact, inputs, optimize=mode) for mode in (False, True))
            alone = inputs[:_ALONE_IMAGES]
            operators = tuple(operator_agreements(model, artifact, alone, optimize=mode) for mode in (False, True))
            yield Row(network, recipe, accuracy(artifact, seen), (plain, optimised), (operators[0], operators[1]))


def _trained(dataset: Dataset, network: str, recipe: Recipe) -> Artifact:
    torch.manual_seed(0)
    student = build_model(network, width=NETWORKS[network], image_shape=dataset.image_shape, classes=dataset.classes)
    # That it can be lowered is seen when it is trained; what it has before, at random, may be out of all proportion.
    compressed = compress(student, dataset, recipe, training=_TRAINING, lowered=False)
    return read_artifact(pack(lower(compressed, dataset.train.images[:_CALIBRATION_IMAGES], dataset.normalization)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or JSON, a row a line. The exit status is 1 when the images are missing."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.onnx_agreement",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), help="default: all")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES), help="default: all")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table: one object a row, as it is done")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        dataset = first_images(load_dataset("fashion-mnist"), _TRAINING_IMAGES)
    except DatasetError as error:
        print(f"onnx_agreement: {error}", file=sys.stderr)
        return 1
    done = []
    for row in rows(dataset, options.networks, options.recipes):
        done.append(row)
        if options.json:
            print(json.dumps(asdict(row)), flush=True)
    if not options.json:
        print(table(_HEAD, [row.cells() for row in done]))
        print(f"\n{_NOTE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
