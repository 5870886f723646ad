"""From a study to something one can flash: packing a network without a search, and exporting a candidate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dccdka.collaborative import post_training
from dccdka.export.c_library import export_library
from dccdka.export.errors import ExportError
from dccdka.packing import Artifact, read_artifact, run_reference
from dccdka.packing.narrowing import Images
from dccdka.recipe import Recipe, RecipeError
from dccdka.weights import WeightsError, load_weights
from harness.config import StudyConfig
from harness.config.kernel_costs import costs_of_target
from harness.errors import CandidateError, NotPackable, UsageError
from harness.farm.measuring import VerificationSet
from harness.resources import agents_dir
from harness.results.folder import journaled_config
from harness.results.journal import Journal
from harness.search.preparation import network, study_dataset, to_artifact, verification_inputs

if TYPE_CHECKING:
    from dccdka.export.onnx_check import Agreement, NetworkAgreement

Say = Callable[[str], None]
_ONNX_IMAGES = 256  # that the whole network is checked on
_OPERATOR_IMAGES = 32  # that each operator by itself is


@dataclass(frozen=True)
class OnnxAgreement:
    """How ONNX Runtime's results and the device's agree: those of the whole network, and of each operator by itself."""

    whole: NetworkAgreement
    operators: tuple[Agreement, ...]


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
    """Writes a folder of C that builds and checks itself; returns its files. Raises UsageError."""
    artifact, inputs = candidate_with_inputs(journal, candidate_id, 1)
    expected = run_reference(artifact, inputs)
    try:
        return export_library(
            artifact,
            out,
            name=candidate_id,
            runtime_dir=agents_dir() / "runtime",
            sample_input=inputs.tobytes(),
            expected_output=expected.tobytes(),
        )
    except ExportError as error:
        raise UsageError(f"--out: {error}") from None


def export_onnx(journal: Journal, candidate_id: str, out: Path) -> OnnxAgreement:
    """Writes an ONNX model, and says how it agrees with the device on test images.

    Raises UsageError; and CandidateError, nothing being written, where ONNX cannot say what an operator does, or an
    operator by itself is more than a step off.
    """
    try:
        # What they import is an optional extra.
        from dccdka.export.onnx_check import network_agreement, operator_agreements, require_agreement
        from dccdka.export.onnx_model import onnx_model
    except ImportError as error:
        raise UsageError(f"--format onnx: needs pip install 'dccdka-harness[onnx]' ({error})") from None
    if out.exists():
        raise UsageError(f"--out {out}: exists; name a new file")
    artifact, inputs = candidate_with_inputs(journal, candidate_id, _ONNX_IMAGES)
    try:
        model = onnx_model(artifact, candidate_id)
        operators = operator_agreements(model, artifact, inputs[:_OPERATOR_IMAGES])
        require_agreement(operators)
    except ExportError as error:
        raise CandidateError(f"candidate {candidate_id}: {error}") from None
    whole = network_agreement(model, artifact, inputs)
    try:
        out.write_bytes(model.SerializeToString())
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be written: {error.strerror}") from None
    return OnnxAgreement(whole, operators)


def candidate_with_inputs(journal: Journal, candidate_id: str, count: int) -> tuple[Artifact, Images]:
    """A candidate's artifact and so many test images as it takes them."""
    candidate = journal.candidate(candidate_id)
    if candidate.training is None:
        raise UsageError(f"candidate {candidate_id} was never trained ({candidate.state}): there is nothing to export")
    artifact = read_artifact(journal.artifact(candidate.training.artifact_sha256))
    dataset = study_dataset(journaled_config(journal))
    return artifact, VerificationSet(verification_inputs(dataset, count)).inputs
