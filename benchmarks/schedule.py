"""Draws how sparsity and learning rate run over a training by the default schedule, and where each step acts.

The picture in the documentation is `python -m benchmarks.schedule docs/schedule.svg`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from dccdka.recipe import Recipe
from dccdka.schedule import schedule_curves

STEPS = 1000
RECIPE = Recipe(temperature=2.0, final_sparsity=0.8, clusters=16, bits=4)


def draw(recipe: Recipe, steps: int) -> Figure:
    """Both curves over the steps, as percent, with the phases of the schedule shaded."""
    points = schedule_curves(recipe, steps)
    schedule = recipe.schedule
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axes = figure.subplots()
    at = [point.step for point in points]
    axes.plot(at, [100 * point.learning_rate for point in points], label="learning rate, % of its peak")
    axes.step(at, [100 * point.sparsity for point in points], where="post", label="sparsity, %")
    phases = (
        ("pruning", schedule.pruning_begin, schedule.pruning_end, "C1"),
        ("recovery", schedule.pruning_end, schedule.clustering_begin, "C7"),
        ("clusters and noise", schedule.clustering_begin, schedule.quantization_final, "C2"),
        ("all rounded", schedule.quantization_final, 1.0, "C3"),
    )
    for name, begin, end, colour in phases:
        axes.axvspan(begin * steps, end * steps, color=colour, alpha=0.12, linewidth=0)
        axes.text((begin + end) / 2 * steps, 104, name, ha="center", fontsize=8)
    axes.set(xlabel="optimiser step", ylim=(0, 112), xlim=(0, steps))
    axes.legend(loc="lower right", bbox_to_anchor=(0.98, 0.12), fontsize=8)
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.schedule",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python -m benchmarks.schedule docs/schedule.svg",
    )
    parser.add_argument("file", type=Path, help="picture to write, such as schedule.svg or schedule.png")
    options = parser.parse_args(arguments)
    # The same picture every time: no date in it, and no random names.
    mpl.rcParams["svg.hashsalt"] = "schedule"
    try:
        draw(RECIPE, STEPS).savefig(options.file, metadata={"Date": None} if options.file.suffix == ".svg" else None)
    except (OSError, ValueError) as error:
        parser.error(f"{options.file}: {error}")
    print(options.file)


if __name__ == "__main__":
    main()
