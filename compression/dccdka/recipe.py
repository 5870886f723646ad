"""The hyperparameters of one candidate: what is done to the weights, how strongly, and when in the training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self, get_args

LossWeighting = Literal["mix", "t_squared", "sum"]
PruningMode = Literal["layer", "global", "filters"]
CentroidInit = Literal["linear", "density", "forgy"]
Observer = Literal["min-max", "moving-average", "percentile"]


class RecipeError(ValueError):
    """A recipe cannot be carried out; the message names the field, its value and the values allowed."""


def _require(allowed: bool, field_name: str, value: object, expectation: str) -> None:
    if not allowed:
        raise RecipeError(f"{field_name}: must be {expectation}, got {value!r}")


def _is_real(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _reject_unknown_keys(cls: type[Any], values: Mapping[str, Any], prefix: str) -> None:
    known = {f.name for f in fields(cls)}
    for key in values:
        _require(key in known, f"{prefix}{key}", values[key], f"left out; the fields are {sorted(known)}")


@dataclass(frozen=True)
class Schedule:
    """When each step acts, as fractions of the training's optimiser steps.

    The learning rate rises until `warm_up`, stays high until `pruning_end` and decays to zero from there, so that masks
    are chosen while the weights still move and the network recovers afterwards. `noise` is p of Quant-Noise (Eq. 6):
    the share of weights that are quantised in a forward pass between `quantization_begin` and `quantization_final`;
    from there on every weight is. Masks and cluster members are renewed every `interval` steps (delta t of Eq. 8).
    """

    warm_up: float = 0.1
    pruning_begin: float = 0.1
    pruning_end: float = 0.5
    clustering_begin: float = 0.7
    quantization_begin: float = 0.7
    quantization_final: float = 0.85
    noise: float = 0.5
    noise_block: int = 1
    interval: int = 4
    refit: int = 0

    def __post_init__(self) -> None:
        for name in ("warm_up", "pruning_begin", "pruning_end", "clustering_begin", "quantization_begin"):
            value = getattr(self, name)
            _require(_is_real(value) and 0 <= value <= 1, f"schedule.{name}", value, "a fraction, 0 <= it <= 1")
        _require(
            _is_real(self.quantization_final) and self.quantization_begin <= self.quantization_final <= 1,
            "schedule.quantization_final",
            self.quantization_final,
            f"from schedule.quantization_begin ({self.quantization_begin}) to 1",
        )
        _require(
            self.pruning_begin <= self.pruning_end,
            "schedule.pruning_end",
            self.pruning_end,
            f"at least schedule.pruning_begin ({self.pruning_begin})",
        )
        _require(
            self.pruning_end <= self.clustering_begin,
            "schedule.clustering_begin",
            self.clustering_begin,
            f"at least schedule.pruning_end ({self.pruning_end}): only weights that stay are clustered",
        )
        _require(_is_real(self.noise) and 0 <= self.noise <= 1, "schedule.noise", self.noise, "from 0 to 1")
        for name, unit in (("noise_block", "weights"), ("interval", "steps")):
            value = getattr(self, name)
            _require(_is_integer(value) and value >= 1, f"schedule.{name}", value, f"1 or more {unit}")
        _require(
            _is_integer(self.refit) and self.refit >= 0, "schedule.refit", self.refit, "0 (never) or more renewals"
        )


@dataclass(frozen=True)
class LayerRule:
    """Other values for some layers; None keeps the recipe's.

    match: "first", "last", "depthwise", a module's name, or a shell pattern of names such as "stage3.*". Where several
    rules match a layer, the later one wins, field by field. final_sparsity 0 leaves a layer out of pruning.
    """

    match: str
    final_sparsity: float | None = None
    clusters: int | None = None
    bits: int | None = None


@dataclass(frozen=True)
class Recipe:
    """One setting of the hyperparameters.

    temperature: T of Eq. 2, 1 to 100. final_sparsity, initial_sparsity: s_f and s_i of Eq. 8, share of weights that
    are zero. clusters: distinct values of a layer, zero included; None shares no weights, every code may be used.
    bits: n of Eq. 4. loss: "mix" alpha T^2 L1 + (1 - alpha) L2 (Hinton et al.), "t_squared" T^2 L1 + L2, "sum" L1 + L2,
    the paper's Eq. 15. pruning: the smallest weights of each "layer", those of the whole network ("global"), or whole
    "filters", which are removed from the graph. centroid_init: of k-means (Eq. 9). observer: how the range of an
    activation is taken from calibration. layers: exceptions, see LayerRule.
    """

    temperature: float
    final_sparsity: float
    clusters: int | None
    bits: int
    alpha: float = 0.5
    loss: LossWeighting = "mix"
    initial_sparsity: float = 0.0
    pruning: PruningMode = "layer"
    centroid_init: CentroidInit = "linear"
    observer: Observer = "min-max"
    layers: tuple[LayerRule, ...] = ()
    schedule: Schedule = field(default_factory=Schedule)

    def __post_init__(self) -> None:
        T, sparsity = self.temperature, self.final_sparsity
        _require(_is_real(T) and 1 <= T <= 100, "temperature", T, "from 1 to 100")
        _require(_is_real(sparsity) and 0 <= sparsity < 1, "final_sparsity", sparsity, "a share, 0 <= it < 1")
        _require(_is_integer(self.bits) and 2 <= self.bits <= 8, "bits", self.bits, "a whole number from 2 to 8")
        _require(
            _is_integer(self.clusters) and 2 <= self.clusters <= 2**self.bits,
            "clusters",
            self.clusters,
            f"a whole number from 2 to 2^bits = {2**self.bits}",
        )
        _require(
            self.alpha is None or (_is_real(self.alpha) and 0 <= self.alpha <= 1),
            "alpha",
            self.alpha,
            "from 0 to 1, or null for the paper's unweighted sum",
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` takes them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`; fields with defaults may be left out. Raises RecipeError naming a wrong field."""
        _reject_unknown_keys(cls, values, "")
        for name in ("temperature", "final_sparsity", "clusters", "bits"):
            if name not in values:
                raise RecipeError(f"{name}: missing")
        schedule = values.get("schedule", {})
        if isinstance(schedule, Mapping):
            _reject_unknown_keys(Schedule, schedule, "schedule.")
            schedule = Schedule(**schedule)
        _require(isinstance(schedule, Schedule), "schedule", schedule, "a table of its fields")
        return cls(**{**values, "schedule": schedule})
