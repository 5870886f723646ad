"""The hyperparameters of one candidate: what is done to the weights, how strongly, and when in the training."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any, Literal, Self, TypeGuard, get_args

LossWeighting = Literal["mix", "t_squared", "sum"]
PruningMode = Literal["layer", "global", "filters"]
CentroidInit = Literal["linear", "density", "forgy"]
Observer = Literal["min-max", "moving-average", "percentile"]


class RecipeError(ValueError):
    """A recipe cannot be carried out; the message names the field, its value and the values allowed."""


def _require(allowed: bool, field_name: str, value: object, expectation: str) -> None:
    if not allowed:
        # Its numbers look right, but cannot be written as JSON.
        advice = "; make it a plain number with .item()" if type(value).__module__ == "numpy" else ""
        raise RecipeError(f"{field_name}: must be {expectation}, got {value!r}{advice}")


def _is_real(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _require_choice(choices: Any, field_name: str, value: object) -> None:
    allowed = get_args(choices)
    _require(isinstance(value, str) and value in allowed, field_name, value, f"one of {', '.join(allowed)}")


def _require_sparsity(field_name: str, value: object) -> None:
    _require(_is_real(value) and 0 <= value < 1, field_name, value, "a share, 0 <= it < 1")


def _require_bits(field_name: str, value: object) -> None:
    _require(_is_integer(value) and 2 <= value <= 8, field_name, value, "a whole number from 2 to 8")


def _require_clusters(field_name: str, value: object, bits: int) -> None:
    allowed = _is_integer(value) and 2 <= value <= 2**bits
    _require(allowed, field_name, value, f"a whole number from 2 to 2^bits = {2**bits}")


def _reject_unknown_keys(cls: type[Any], values: Mapping[str, Any], prefix: str) -> None:
    known = {f.name for f in fields(cls)}
    for key in values:
        _require(key in known, f"{prefix}{key}", values[key], f"left out; the fields are {sorted(known)}")


# A decay that begins with the training has taken less than 3% of the rate by then: the rate hardly falls at once.
_EARLY = 0.1


@dataclass(frozen=True)
class Schedule:
    """When each step acts, as fractions of the training's optimiser steps.

    The learning rate rises until `warm_up`, stays high until `pruning_end` and decays to zero from there, so that masks
    are chosen while the weights still move and the network recovers afterwards. It begins to decay no earlier than it
    has risen, or it would fall at once; a `warm_up` of up to 0.1 goes with any `pruning_end`.

    `noise` is p of Quant-Noise (Eq. 6): the share of weights that are quantised in a forward pass between
    `quantization_begin` and `quantization_final`; from there on every weight is, and with a quantization_begin of 1
    none ever is, only the result. Noise picks whole blocks of `noise_block` weights that follow one another in the
    flattened filter (Fan et al., arXiv:2004.07320).

    Masks and cluster members are renewed every `interval` steps (delta t of Eq. 8), and on every `refit`-th renewal of
    the members their centroid becomes their mean, one iteration of Lloyd's; with 0 never, so that only the gradient
    moves it.
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
            self.warm_up <= max(self.pruning_end, _EARLY),
            "schedule.warm_up",
            self.warm_up,
            f"at most schedule.pruning_end ({self.pruning_end}), where the learning rate begins to decay, or {_EARLY}",
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

    match: "first", "last", "depthwise", a module's name, or a shell pattern of names such as "stage3.*". First and last
    are the layers that the network calls first and last, and where torch.fx cannot trace it those that it holds first
    and last. Where another layer is itself called so, the rule is refused: "firs[t]" is a pattern of that name alone.
    Where several rules match a layer, the later one wins, field by field. final_sparsity 0 leaves a layer out of
    pruning.
    """

    match: str
    final_sparsity: float | None = None
    clusters: int | None = None
    bits: int | None = None

    def __post_init__(self) -> None:
        _require(
            isinstance(self.match, str) and self.match != "", "layers.match", self.match, "a layer's name or pattern"
        )
        prefix = f"layers[{self.match}]"
        if self.final_sparsity is not None:
            _require_sparsity(f"{prefix}.final_sparsity", self.final_sparsity)
        if self.bits is not None:
            _require_bits(f"{prefix}.bits", self.bits)
        if self.clusters is not None:
            _require_clusters(f"{prefix}.clusters", self.clusters, 8 if self.bits is None else self.bits)

    def matches(self, layer: str, roles: Collection[str] = ()) -> bool:
        """Whether the rule is for the layer of this name; roles: those of "first", "last", "depthwise" that it has."""
        return self.match in roles or fnmatchcase(layer, self.match)


@dataclass(frozen=True)
class LayerSettings:
    """What a recipe asks of one layer, its rules applied; the fields are the recipe's."""

    final_sparsity: float
    clusters: int | None
    bits: int


@dataclass(frozen=True)
class Recipe:
    """One setting of the hyperparameters.

    temperature: T of Eq. 2, 1 to 100. final_sparsity, initial_sparsity: s_f and s_i of Eq. 8, share of weights that
    are pruned. At least so many are zero; with few clusters or bits zero is the nearest value to others too. Where
    "filters" are pruned it is the share of filters: 0.5 of them leaves about a quarter of the weights. clusters: the
    most distinct values of a layer, zero included; None shares no weights, every code may be used. bits: n of Eq. 4.
    loss: "mix" alpha T^2 L1 + (1 - alpha) L2 (Hinton et al.), "t_squared" T^2 L1 + L2, "sum" L1 + L2, the paper's
    Eq. 15. pruning: the smallest weights of each "layer", those of the whole network ("global"), or whole "filters",
    which are removed from the graph. centroid_init: of k-means (Eq. 9). observer: how the range of an activation is
    taken from calibration. layers: exceptions, see LayerRule.
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
        T = self.temperature
        _require(_is_real(T) and 1 <= T <= 100, "temperature", T, "from 1 to 100")
        _require_sparsity("final_sparsity", self.final_sparsity)
        _require_bits("bits", self.bits)
        if self.clusters is not None:
            _require_clusters("clusters", self.clusters, self.bits)
        _require(_is_real(self.alpha) and 0 <= self.alpha <= 1, "alpha", self.alpha, "from 0 to 1")
        _require(
            _is_real(self.initial_sparsity) and 0 <= self.initial_sparsity <= self.final_sparsity,
            "initial_sparsity",
            self.initial_sparsity,
            f"from 0 to final_sparsity ({self.final_sparsity})",
        )
        _require_choice(LossWeighting, "loss", self.loss)
        _require_choice(PruningMode, "pruning", self.pruning)
        _require_choice(CentroidInit, "centroid_init", self.centroid_init)
        _require_choice(Observer, "observer", self.observer)
        rules = isinstance(self.layers, tuple) and all(isinstance(rule, LayerRule) for rule in self.layers)
        _require(rules, "layers", self.layers, "a tuple of LayerRule")
        _require(isinstance(self.schedule, Schedule), "schedule", self.schedule, "a Schedule")

    def for_layer(self, name: str, roles: Collection[str] = ()) -> LayerSettings:
        """What is asked of the layer of this module name; roles: those of "first", "last", "depthwise" that it has.

        Raises RecipeError when the rules leave a layer more clusters than its bits tell apart.
        """
        rules = [rule for rule in self.layers if rule.matches(name, roles)]
        sparsity, clusters, bits = self.final_sparsity, self.clusters, self.bits
        for rule in rules:
            sparsity = sparsity if rule.final_sparsity is None else rule.final_sparsity
            clusters = clusters if rule.clusters is None else rule.clusters
            bits = bits if rule.bits is None else rule.bits
        if clusters is not None and clusters > 2**bits:
            matches = ", ".join(repr(rule.match) for rule in rules)
            raise RecipeError(
                f"layers: layer {name!r} gets {clusters} clusters but {bits} bits, which tell {2**bits} values apart;"
                f" give the rule for it ({matches}) clusters of at most {2**bits}"
            )
        return LayerSettings(sparsity, clusters, bits)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` takes them back."""
        values = asdict(self)
        return {**values, "layers": list(values["layers"])}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`; fields with defaults may be left out. Raises RecipeError naming a wrong field."""
        _require(isinstance(values, Mapping), "recipe", values, "a table of fields")
        _reject_unknown_keys(cls, values, "")
        for name in ("temperature", "final_sparsity", "clusters", "bits"):
            if name not in values:
                raise RecipeError(f"{name}: missing")
        schedule = values.get("schedule", {})
        if isinstance(schedule, Mapping):
            _reject_unknown_keys(Schedule, schedule, "schedule.")
            schedule = Schedule(**schedule)
        layers = values.get("layers", ())
        _require(isinstance(layers, list | tuple), "layers", layers, "a list of rules")
        rules = tuple(_rule_from(rule, number) for number, rule in enumerate(layers))
        return cls(**{**values, "schedule": schedule, "layers": rules})


def _rule_from(values: object, number: int) -> LayerRule:
    if isinstance(values, LayerRule):
        return values
    if not isinstance(values, Mapping) or "match" not in values:
        raise RecipeError(f'layers[{number}]: must be a table with "match" and the other values, got {values!r}')
    _reject_unknown_keys(LayerRule, values, f"layers[{number}].")
    return LayerRule(**values)
