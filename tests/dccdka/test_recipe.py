"""A recipe says what is wrong with it, gives each layer its values, and survives JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dccdka.recipe import LayerRule, LayerSettings, Recipe, RecipeError, Schedule

GOOD: dict[str, Any] = {"temperature": 4.0, "final_sparsity": 0.75, "clusters": 16, "bits": 4}


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
        ("alpha", None),
        ("loss", "hinton"),
        ("loss", None),
        ("initial_sparsity", 0.8),
        ("initial_sparsity", -0.1),
        ("pruning", "weights"),
        ("centroid_init", "random"),
        ("observer", ["min-max"]),
        ("layers", [LayerRule("first")]),
        ("schedule", {"noise": 0.5}),
    ],
)
def test_a_value_out_of_range_is_refused_by_the_name_of_its_field(field: str, value: object) -> None:
    with pytest.raises(RecipeError, match=f"^{field}: .*got"):
        Recipe(**{**GOOD, field: value})


@pytest.mark.parametrize(
    ("schedule", "field"),
    [
        ({"pruning_begin": 0.6, "pruning_end": 0.5}, "schedule.pruning_end"),
        ({"pruning_end": 0.8}, "schedule.clustering_begin"),
        ({"quantization_final": 0.1}, "schedule.quantization_final"),
        ({"noise": 2.0}, "schedule.noise"),
        ({"noise_block": 0}, "schedule.noise_block"),
        ({"interval": 0}, "schedule.interval"),
        ({"refit": -1}, "schedule.refit"),
        ({"warm_up": "soon"}, "schedule.warm_up"),
        ({"warm_up": 0.5, "pruning_begin": 0.0, "pruning_end": 0.1}, "schedule.warm_up"),
        ({"warm_up": 1.0}, "schedule.warm_up"),
        ({"begin": 3}, "schedule.begin"),
    ],
)
def test_a_wrong_schedule_is_refused_by_the_name_of_its_field(schedule: dict[str, object], field: str) -> None:
    with pytest.raises(RecipeError, match=f"^{field}: "):
        Recipe.from_dict({**GOOD, "schedule": schedule})


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"match": ""}, r"^layers\.match: "),
        ({"match": "first", "bits": 9}, r"^layers\[first\]\.bits: .*got 9"),
        ({"match": "first", "clusters": 5, "bits": 2}, r"^layers\[first\]\.clusters: .*2\^bits = 4, got 5"),
        ({"match": "first", "final_sparsity": 1.0}, r"^layers\[first\]\.final_sparsity: "),
        ({"match": "first", "sparsity": 0.5}, r"^layers\[0\]\.sparsity: "),
        ({"bits": 4}, r'^layers\[0\]: must be a table with "match"'),
        ("first", r"^layers\[0\]: "),
    ],
)
def test_a_wrong_rule_is_refused_by_the_name_of_its_field(rule: object, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Recipe.from_dict({**GOOD, "layers": [rule]})


def test_rules_apply_by_name_pattern_and_role_and_the_later_wins_field_by_field() -> None:
    recipe = Recipe(
        4.0,
        0.75,
        16,
        4,
        layers=(
            LayerRule("stage1.*", final_sparsity=0.5, bits=8),
            LayerRule("first", final_sparsity=0.0),
            LayerRule("stage1.conv2", clusters=200),
        ),
    )
    assert recipe.for_layer("linear", {"last"}) == LayerSettings(0.75, 16, 4)
    assert recipe.for_layer("stage1.conv1") == LayerSettings(0.5, 16, 8)
    assert recipe.for_layer("stage1.conv1", {"first"}) == LayerSettings(0.0, 16, 8)
    assert recipe.for_layer("stage1.conv2") == LayerSettings(0.5, 200, 8)


def test_a_layer_whose_rules_leave_it_more_clusters_than_codes_is_named() -> None:
    recipe = Recipe(4.0, 0.75, 16, 4, layers=(LayerRule("last", bits=3),))
    recipe.for_layer("conv")
    with pytest.raises(RecipeError, match=r"^layers: layer 'linear' gets 16 clusters but 3 bits.*'last'.*at most 8"):
        recipe.for_layer("linear", {"last"})


def test_a_recipe_survives_json() -> None:
    recipe = Recipe(
        2.0,
        0.5,
        None,
        3,
        alpha=0.3,
        loss="sum",
        initial_sparsity=0.25,
        pruning="filters",
        centroid_init="density",
        observer="percentile",
        layers=(LayerRule("first", final_sparsity=0.0), LayerRule("stage?.*", clusters=4, bits=2)),
        schedule=Schedule(noise=0.25, noise_block=8, interval=8, refit=2),
    )
    values = recipe.to_dict()
    assert json.loads(json.dumps(values)) == values
    assert Recipe.from_dict(json.loads(json.dumps(values))) == recipe


def test_fields_with_defaults_may_be_left_out() -> None:
    assert Recipe.from_dict(GOOD) == Recipe(4.0, 0.75, 16, 4)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(RecipeError, match=r"^bits: missing"):
        Recipe.from_dict({name: value for name, value in GOOD.items() if name != "bits"})


@pytest.mark.parametrize("values", [[1], "recipe", None, 4])
def test_what_is_no_table_is_refused(values: Any) -> None:
    with pytest.raises(RecipeError, match=r"^recipe: must be a table of fields, got "):
        Recipe.from_dict(values)


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(RecipeError, match=r"^cluster: "):
        Recipe.from_dict({**GOOD, "cluster": 3})
