"""A recipe says what is wrong with it, and survives JSON."""

from __future__ import annotations

import json

import pytest

from dccdka.recipe import Recipe, RecipeError, Schedule

GOOD = {"temperature": 4.0, "final_sparsity": 0.75, "clusters": 16, "bits": 4}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", 0.5),
        ("temperature", 101),
        ("temperature", float("nan")),
        ("final_sparsity", 1.2),
        ("final_sparsity", 1.0),
        ("final_sparsity", -0.1),
        ("clusters", 1),
        ("clusters", 17),
        ("clusters", 8.0),
        ("clusters", True),
        ("bits", 0),
        ("bits", 9),
        ("bits", "4"),
        ("alpha", 1.5),
    ],
)
def test_a_value_out_of_range_is_refused_by_the_name_of_its_field(field: str, value: object) -> None:
    with pytest.raises(RecipeError, match=f"^{field}: .*got"):
        Recipe(**{**GOOD, field: value})  # type: ignore[arg-type]  # wrong types are the point


@pytest.mark.parametrize(
    ("schedule", "field"),
    [
        ({"pruning_begin": 0.6, "pruning_end": 0.5}, "schedule.pruning_end"),
        ({"pruning_end": 0.8}, "schedule.clustering_begin"),
        ({"quantization_final": 0.1}, "schedule.quantization_final"),
        ({"noise": 2.0}, "schedule.noise"),
        ({"interval": 0}, "schedule.interval"),
        ({"warm_up": 1.0}, "schedule.warm_up"),
    ],
)
def test_a_schedule_out_of_order_is_refused_by_the_name_of_its_field(schedule: dict[str, float], field: str) -> None:
    with pytest.raises(RecipeError, match=f"^{field}: "):
        Recipe.from_dict({**GOOD, "schedule": schedule})


def test_a_recipe_survives_json() -> None:
    recipe = Recipe(2.0, 0.5, 8, 3, alpha=None, schedule=Schedule(noise=0.25, interval=8))
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_fields_with_defaults_may_be_left_out() -> None:
    assert Recipe.from_dict(GOOD) == Recipe(4.0, 0.75, 16, 4)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(RecipeError, match=r"^bits: missing"):
        Recipe.from_dict({name: value for name, value in GOOD.items() if name != "bits"})


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(RecipeError, match=r"^cluster: "):
        Recipe.from_dict({**GOOD, "cluster": 3})
    with pytest.raises(RecipeError, match=r"^schedule\.begin: "):
        Recipe.from_dict({**GOOD, "schedule": {"begin": 3}})
