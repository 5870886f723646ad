"""What every recipe of a study has in common: the options that are not searched (the key recipe of study.yaml)."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from dccdka.recipe import CentroidInit, LossWeighting, Observer, PruningMode, Recipe, RecipeError
from harness.config.yaml_file import StrictModel, wrong_key

# Searched values that no option contradicts, so that what is wrong is an option.
_SEARCHED = {"temperature": 1.0, "final_sparsity": 0.999, "clusters": None, "bits": 8}


class RecipeSettings(StrictModel):
    """The fields of dccdka.recipe.Recipe; layers holds those of LayerRule, schedule those of Schedule."""

    loss: LossWeighting = "mix"
    alpha: float = 0.5
    initial_sparsity: float = 0.0
    pruning: PruningMode = "layer"
    centroid_init: CentroidInit = "linear"
    observer: Observer = "min-max"
    layers: list[dict[str, Any]] = Field(default_factory=list)
    schedule: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        try:
            self.recipe(_SEARCHED)
        except RecipeError as error:
            key, _, problem = str(error).partition(": ")
            raise wrong_key(key, problem) from None
        return self

    def recipe(self, searched: dict[str, Any]) -> Recipe:
        """The recipe of these options and the searched values. Raises RecipeError."""
        return Recipe.from_dict({**self.model_dump(), **searched})
