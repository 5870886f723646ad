"""From a study to something one can flash: packing a network without a search, and exporting a candidate as C."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dccdka.collaborative import post_training
from dccdka.packing import read_artifact, run_reference
from dccdka.packing.export import ExportError, export_library
from dccdka.recipe import Recipe, RecipeError
from dccdka.weights import WeightsError, load_weights
from harness.config import StudyConfig
from harness.config.kernel_costs import costs_of_target
from harness.errors import NotPackable, UsageError
from harness.farm.measuring import VerificationSet
from harness.resources import agents_dir
from harness.results.folder import journaled_config
from harness.results.journal import Journal
from harness.search.preparation import network, study_dataset, to_artifact, verification_inputs

Say = Callable[[str], None]


def pack_network(config: StudyConfig, recipe: Recipe, weights: Path | None, say: Say) -> bytes:
    """The study's network as an artifact for its target, compressed without training.

    weights: a safetensors file, else untrained.

    say hears of every layer where the recipe cannot be followed to the letter.
    Raises UsageError naming the file when the weights are not those of this network, and when the network or the
    study's options for recipes do not suit one another.
    """
    costs = costs_of_target(config)
    dataset = study_dataset(config)
    model = network(config.model, dataset, config.seed)
    if weights is not None:
        try:
            load_weights(model, weights)
        except WeightsError as error:
            raise UsageError(str(error)) from None
    try:
        compressed = post_training(model, recipe)
        artifact = to_artifact(compressed, dataset, costs)
    except NotPackable as error:
        raise UsageError(str(error)) from None
    except RecipeError as error:
        raise UsageError(f"recipe: {error}") from None
    for note in compressed.notes:
        say(note)
    return artifact


def export_candidate(journal: Journal, candidate_id: str, out: Path) -> list[Path]:
    """Writes a folder that compiles with one command and checks itself; returns its files. Raises UsageError."""
    candidate = journal.candidate(candidate_id)
    if candidate.training is None:
        raise UsageError(f"candidate {candidate_id} was never trained ({candidate.state}): there is nothing to export")
    artifact = read_artifact(journal.artifact(candidate.training.artifact_sha256))
    dataset = study_dataset(journaled_config(journal))
    sample = VerificationSet(verification_inputs(dataset, 1)).inputs
    expected = run_reference(artifact, sample)
    try:
        return export_library(
            artifact.data,
            out,
            name=candidate_id,
            runtime_dir=agents_dir() / "runtime",
            sample_input=sample.tobytes(),
            expected_output=expected.tobytes(),
        )
    except ExportError as error:
        raise UsageError(f"--out {out}: {error}") from None
