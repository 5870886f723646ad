"""How many candidates a second stacked training finishes, over training them one by one.

A candidate is a whole call of `compress`: ResNet-8 on 28x28 images of one channel, random pixels, the same number of
optimiser steps for both, with every step of the compression in its default schedule and a different recipe for each.
The ratio is that of the fastest of several repeats in turn.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, stack_module_state
from torch.nn import functional as F

from benchmarks.arguments import at_least, device, positive
from benchmarks.markdown import table
from dccdka.datasets import Dataset, Split
from dccdka.datasets.dataset import make_dataset
from dccdka.models import build_model
from dccdka.recipe import Recipe
from dccdka.stacked import compress_stacked
from dccdka.stacked.network import stack_network
from dccdka.training import compress
from dccdka.training_config import TrainingConfig

IMAGE_SHAPE, CLASSES = (1, 28, 28), 10
# Of N candidates one by one, so many are trained: they all take the same time.
ALONE = 2
COUNTS = (1, 8, 32, 128)


@dataclass(frozen=True)
class Setting:
    """What is trained: ResNet-8 of a width for so many optimiser steps, on "cpu" or "cuda"."""

    device: str
    width: int = 4
    batch: int = 32
    steps: int = 60


@dataclass(frozen=True)
class StackedRatio:
    """Candidates per second of N trained at once, of the same one by one, and the first over the second."""

    candidates: int
    stacked_per_second: float
    alone_per_second: float
    ratio: float


def stacked_ratios(setting: Setting, counts: Sequence[int], repeats: int = 3) -> list[StackedRatio]:
    """One ratio for each number of candidates."""
    dataset, logits = _data(setting)
    model = _model(setting)
    config = TrainingConfig(epochs=1, batch_size=setting.batch, device=setting.device)  # type: ignore[arg-type]
    ratios = []
    for count in counts:
        recipes = [Recipe(2 + n % 5, 0.3 + 0.6 * n / count, 2 + n % 15, 4 + n % 5) for n in range(count)]

        def stacked(recipes: list[Recipe] = recipes) -> None:
            compress_stacked(model, dataset, recipes, logits, config)

        def alone(recipes: list[Recipe] = recipes) -> None:
            for recipe in recipes[:ALONE]:
                compress(copy.deepcopy(model), dataset, recipe, logits, training=config)

        together, one_by_one = fastest([stacked, alone], repeats, setting.device)
        together, one_by_one = together / count, one_by_one / min(ALONE, count)
        ratios.append(StackedRatio(count, 1 / together, 1 / one_by_one, one_by_one / together))
    return ratios


def pass_times(setting: Setting, count: int, repeats: int = 5) -> dict[str, float]:
    """Milliseconds of the forward and backward pass of `count` networks, by the way in which they are computed."""
    device = torch.device(setting.device)
    models = [_model(setting).to(device).train() for _ in range(count)]
    images = torch.randn(setting.batch, *IMAGE_SHAPE, device=device).to(memory_format=torch.channels_last)
    labels = torch.randint(CLASSES, (setting.batch,), device=device)
    stacked = stack_network(models[0], count, images).to(device)
    parameters, buffers = stack_module_state(models)
    skeleton = copy.deepcopy(models[0])

    def alone() -> None:
        for model in models:
            F.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]  # untyped in torch

    def through(logits: torch.Tensor) -> None:
        F.cross_entropy(logits, labels.repeat_interleave(count)).backward()  # type: ignore[no-untyped-call]

    def by_vmap() -> None:
        warnings.simplefilter("ignore", UserWarning)  # says what is slow, which is what is measured here

        def one(parameters: dict[str, torch.Tensor], buffers: dict[str, torch.Tensor]) -> torch.Tensor:
            return functional_call(skeleton, (parameters, buffers), (images,))  # type: ignore[no-any-return]

        through(torch.vmap(one, out_dims=1)(parameters, buffers).flatten(0, 1))

    def by_stack() -> None:
        through(stacked(images).view(-1, CLASSES))

    seconds = fastest([alone, by_vmap, by_stack], repeats, setting.device)
    return dict(zip(("one by one", "vmap", "stacked"), (1e3 * s for s in seconds), strict=True))


def fastest(calls: Sequence[Callable[[], None]], repeats: int, device: str) -> list[float]:
    """Seconds of the fastest run of each call; they take turns, so that a busy moment hits all alike."""
    best = [float("inf")] * len(calls)
    for _ in range(repeats + 1):  # the first run also sets things up
        for number, call in enumerate(calls):
            begin = time.perf_counter()
            call()
            if device == "cuda":
                torch.cuda.synchronize()
            best[number] = min(best[number], time.perf_counter() - begin)
    return best


def _model(setting: Setting) -> nn.Module:
    torch.manual_seed(0)
    return build_model("resnet8", width=setting.width, image_shape=IMAGE_SHAPE, classes=CLASSES)


def _data(setting: Setting) -> tuple[Dataset, np.ndarray]:
    generator = np.random.default_rng(0)
    count = setting.steps * setting.batch + CLASSES
    images = generator.integers(0, 256, (count, *IMAGE_SHAPE), dtype=np.uint8)
    split = Split(images, np.arange(count) % CLASSES)
    dataset = make_dataset(
        "random pixels", split, split, training_source="random", test_source="random", validation=CLASSES, seed=0
    )
    logits = generator.normal(size=(len(dataset.train.labels), CLASSES)).astype(np.float32)
    return dataset, logits


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, or one line of JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stacked",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n  python -m benchmarks.stacked\n"
        "  python -m benchmarks.stacked --width 8 --batch 128 --json\n  python -m benchmarks.stacked --passes 8",
    )
    parser.add_argument("--device", type=device, default="auto", help="cpu, cuda or auto, the GPU if any (%(default)s)")
    parser.add_argument(
        "--width", type=positive, default=Setting.width, help="channels of the first layer (%(default)s)"
    )
    parser.add_argument("--batch", type=at_least(2), default=Setting.batch, help="images of a batch (%(default)s)")
    parser.add_argument("--steps", type=positive, default=Setting.steps, help="optimiser steps (%(default)s)")
    parser.add_argument("--counts", type=positive, nargs="+", help="numbers of candidates (1 8 32 128)")
    parser.add_argument("--repeats", type=positive, default=3, help="runs of which the fastest counts (%(default)s)")
    parser.add_argument("--threads", type=positive, default=1, help="torch's threads on the CPU (%(default)s)")
    parser.add_argument(
        "--passes", type=positive, metavar="N", help="instead, time forward and backward of N networks in three ways"
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    options = parser.parse_args(arguments)
    if options.passes is None and options.steps * options.batch < CLASSES:
        parser.error(
            f"--steps: {options.steps} of {options.batch} images show fewer than one of each of {CLASSES} classes; "
            "give more"
        )
    torch.set_num_threads(options.threads)
    setting = Setting(options.device, options.width, options.batch, options.steps)
    if options.passes is not None:
        times = pass_times(setting, options.passes, options.repeats)
        rows = [[way, f"{milliseconds:.1f}"] for way, milliseconds in times.items()]
        report: dict[str, object] = {"milliseconds": times}
        head = [f"{options.passes} networks", "ms forward and backward"]
    else:
        counts = options.counts or COUNTS
        ratios = stacked_ratios(setting, counts, options.repeats)
        rows = [
            [str(r.candidates), f"{r.stacked_per_second:.2f}", f"{r.alone_per_second:.2f}", f"{r.ratio:.2f}"]
            for r in ratios
        ]
        report = {"stacked_ratio": {str(r.candidates): r.ratio for r in ratios}, "runs": [asdict(r) for r in ratios]}
        head = ["candidates", "stacked, 1/s", "one by one, 1/s", "ratio"]
    if options.json:
        print(json.dumps({"setting": asdict(setting), "threads": options.threads, **report}))
    else:
        print(f"ResNet-8, width {setting.width}, batch {setting.batch}, {setting.steps} steps, {setting.device}")
        print(table(head, rows))


if __name__ == "__main__":
    main()
