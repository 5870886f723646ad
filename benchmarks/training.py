"""What compression costs a training step: time and memory with all three steps on, over plain distillation.

The network is ResNet-8 on 28x28 images of one channel, distilled from stored logits by Adam. `step_ratio` is the dearer
of the two phases in which weights are pruned, clustered and quantised: under quantisation noise (p = 0.5), and with
every weight rounded. Renewals of the clusters are in it, once every `interval` steps. The phases take turns, step by
step, and the fastest step with a renewal and the fastest without one count, so that other load on the machine hits all
alike.

`memory_ratio` is peak memory of a step over plain: on a GPU what torch allocated at most, parameters included; on the
CPU (of Linux) the growth of a fresh process from before its model was made to its highest resident size, while malloc
gives back at once what was freed (MALLOC_MMAP_THRESHOLD_), so that it is what tensors took and not how they lay.
`stacked_ratio` is what `python -m benchmarks.stacked` measures.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks import stacked
from benchmarks.arguments import device, positive
from benchmarks.markdown import table
from dccdka.collaborative import Collaboration
from dccdka.distillation import distillation_loss
from dccdka.models import build_model
from dccdka.recipe import Recipe

IMAGE_SHAPE, CLASSES = (1, 28, 28), 10
RECIPE = Recipe(temperature=4, final_sparsity=0.75, clusters=16, bits=4)
# Of a training of so many steps, by the recipe's schedule.
STEPS = 1000
# The first step after a renewal of masks or clusters, for each phase; "plain" is not compressed.
PHASES = {"plain": 0, "pruning": 301, "noise": 701, "rounded": 901}
ALL_ON = ("noise", "rounded")
# As many steps as lie between two renewals, or a multiple.
BLOCK = 2 * RECIPE.schedule.interval


@dataclass(frozen=True)
class Setting:
    """device: "cpu" or "cuda". width: channels of the first layer. threads: torch's on the CPU."""

    device: str
    width: int = 16
    batch: int = 128
    repeats: int = 30
    threads: int = 1


@dataclass
class Parts:
    """Seconds of the parts of a training step, the fastest seen of each."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def measure(self, name: str, device: str) -> Iterator[None]:
        _wait(device)
        begin = time.perf_counter()
        yield
        _wait(device)
        self.seconds[name] = min(self.seconds.get(name, float("inf")), time.perf_counter() - begin)


class Trainer:
    """A training in one of the PHASES, which it does not leave."""

    def __init__(self, setting: Setting, phase: str) -> None:
        device = torch.device(setting.device)
        torch.manual_seed(0)
        self.device = setting.device
        self.model: nn.Module = build_model(
            "resnet8", width=setting.width, image_shape=IMAGE_SHAPE, classes=CLASSES
        ).to(device)
        self.model.train()
        self.collaboration = None if phase == "plain" else Collaboration(self.model, RECIPE, STEPS)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-4, fused=True)
        # As Batches gives them out: channels last.
        images = torch.randn(setting.batch, *IMAGE_SHAPE, device=device)
        self.images: Tensor = images.to(memory_format=torch.channels_last)
        self.labels: Tensor = torch.randint(CLASSES, (setting.batch,), device=device)
        self.logits: Tensor = torch.randn(setting.batch, CLASSES, device=device)
        self.first = PHASES[phase]
        if self.collaboration is not None and phase in ALL_ON:
            self.collaboration.before_step(self.collaboration.timeline.clustering_begin)

    def step(self, number: int) -> None:
        """One optimiser step; number counts from the phase's first."""
        if self.collaboration is not None:
            self.collaboration.before_step(self.first + number % BLOCK)
        self.optimizer.zero_grad()
        self._loss().backward()  # type: ignore[no-untyped-call]  # untyped in torch
        self.optimizer.step()

    def block(self) -> None:
        """The steps of two intervals."""
        for number in range(BLOCK):
            self.step(number)

    def renews(self, number: int) -> bool:
        """Whether masks or clusters are renewed before the step; a plain training has such steps for comparison."""
        if self.collaboration is None:
            return number % RECIPE.schedule.interval == 0
        return self.collaboration.timeline.renews(self.first + number % BLOCK)

    def measured_step(self, number: int, parts: Parts) -> None:
        """The same with a look at the clock after each part, which a GPU is waited for."""
        step = self.first + number % BLOCK
        if self.collaboration is not None:
            name = "before a step, with renewal" if self.renews(number) else "before a step"
            with parts.measure(name, self.device):
                self.collaboration.before_step(step)
        self.optimizer.zero_grad()
        with parts.measure("forward and loss", self.device):
            loss = self._loss()
        with parts.measure("backward", self.device):
            loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
        with parts.measure("optimizer", self.device):
            self.optimizer.step()

    def _loss(self) -> Tensor:
        return distillation_loss(self.model(self.images), self.logits, self.labels, RECIPE)


def step_seconds(setting: Setting) -> dict[str, float]:
    """Seconds of a step in each of the PHASES: the mean over an interval, of which one step renews."""
    trainers = {phase: Trainer(setting, phase) for phase in PHASES}
    parts = {phase: Parts() for phase in PHASES}
    for number in range(setting.repeats * BLOCK):
        for phase, trainer in trainers.items():
            with parts[phase].measure("renewal" if trainer.renews(number) else "ordinary", setting.device):
                trainer.step(number)
    interval = RECIPE.schedule.interval
    return {
        phase: ((interval - 1) * each.seconds["ordinary"] + each.seconds["renewal"]) / interval
        for phase, each in parts.items()
    }


def parts_of_a_step(setting: Setting) -> dict[str, dict[str, float]]:
    """Seconds of the parts of a step, for each of the PHASES; renewals are once in `interval` steps."""
    trainers = {phase: (Trainer(setting, phase), Parts()) for phase in PHASES}
    for number in range(-BLOCK, setting.repeats * BLOCK // 2):
        for trainer, parts in trainers.values():
            trainer.measured_step(number, parts)
    return {phase: parts.seconds for phase, (_, parts) in trainers.items()}


def peak_bytes(setting: Setting, phase: str) -> int:
    """Peak memory of training steps in a phase; see the module for what it is on which device."""
    if setting.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        trainer = Trainer(setting, phase)
        trainer.block()
        return torch.cuda.max_memory_allocated() - before
    # A process's highest resident size never falls, so each measurement needs a process of its own.
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "131072"
    try:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply(_resident_growth, (setting, phase))
    finally:
        del os.environ["MALLOC_MMAP_THRESHOLD_"]


def _resident_growth(setting: Setting, phase: str) -> int:
    torch.set_num_threads(setting.threads)
    # Whatever torch sets up once is set up before, by steps on a few images.
    Trainer(Setting(setting.device, width=2, batch=2), phase).block()
    before = _highest_resident_bytes()
    Trainer(setting, phase).block()
    return _highest_resident_bytes() - before


def _highest_resident_bytes() -> int:
    # Not getrusage: it still counts the process that this one was forked from.
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def measure(setting: Setting) -> dict[str, object]:
    """All figures of a device but the stacked ones; seconds and bytes."""
    seconds = step_seconds(setting)
    memory = {phase: peak_bytes(setting, phase) for phase in ("plain", *ALL_ON)}
    return {
        "setting": asdict(setting),
        "step_ratio": max(seconds[phase] for phase in ALL_ON) / seconds["plain"],
        "memory_ratio": max(memory[phase] for phase in ALL_ON) / memory["plain"],
        "step_seconds": seconds,
        "peak_bytes": memory,
        "parts": parts_of_a_step(setting),
    }


def _print_tables(setting: Setting, report: dict[str, object]) -> None:
    seconds, memory, parts = report["step_seconds"], report["peak_bytes"], report["parts"]
    assert isinstance(seconds, dict) and isinstance(memory, dict) and isinstance(parts, dict)  # measure made it
    print(f"ResNet-8, width {setting.width}, batch {setting.batch}, {setting.device}, {setting.threads} threads")
    print(f"step_ratio {report['step_ratio']:.3f}, memory_ratio {report['memory_ratio']:.3f}\n")
    rows = []
    for phase, value in seconds.items():
        peak = f"{memory[phase] / 1e6:.1f}" if phase in memory else ""
        rows.append([phase, f"{1e3 * value:.2f}", f"{value / seconds['plain']:.3f}", peak])
    print(table(["phase", "ms a step", "ratio", "peak MB"], rows) + "\n")
    names = list(dict.fromkeys(name for each in parts.values() for name in each))
    rows = [[name, *(f"{1e3 * each[name]:.2f}" if name in each else "" for each in parts.values())] for name in names]
    print(table(["part of a step, ms", *parts], rows))
    print(f"A renewal of masks or clusters comes once in {RECIPE.schedule.interval} steps.\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, or one line of JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n  python -m benchmarks.training\n  python -m benchmarks.training --json --no-stacked\n"
        "  python -m benchmarks.training --device cuda --width 32 --batch 256",
    )
    parser.add_argument("--device", type=device, default="auto", help="cpu, cuda or auto, the GPU if any (%(default)s)")
    parser.add_argument(
        "--width", type=positive, default=Setting.width, help="channels of the first layer (%(default)s)"
    )
    parser.add_argument("--batch", type=positive, default=Setting.batch, help="images of a batch (%(default)s)")
    parser.add_argument("--repeats", type=positive, default=Setting.repeats, help="the fastest counts (%(default)s)")
    parser.add_argument("--threads", type=positive, default=Setting.threads, help="torch's on the CPU (%(default)s)")
    parser.add_argument("--no-stacked", action="store_true", help="leave stacked_ratio out, which takes minutes")
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of tables")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    setting = Setting(options.device, options.width, options.batch, options.repeats, options.threads)
    report = measure(setting)
    if not options.no_stacked:
        ratios = stacked.stacked_ratios(stacked.Setting(options.device), stacked.COUNTS)
        report["stacked_ratio"] = {str(r.candidates): r.ratio for r in ratios}
    if options.json:
        print(json.dumps(report))
        return
    _print_tables(setting, report)
    for count, ratio in report.get("stacked_ratio", {}).items():  # type: ignore[attr-defined]  # a table, made above
        print(f"stacked_ratio of {count} candidates: {ratio:.2f}")


if __name__ == "__main__":
    main()
