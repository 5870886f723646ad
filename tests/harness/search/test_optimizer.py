"""Recipes proposed are possible ones, and refusals steer away from what cannot be."""

from harness.config import Space
from harness.search.optimizer import Optimizer

SPACE = Space.model_validate({"clusters": {"min": 4, "max": 64}, "bits": {"min": 2, "max": 8}})


def test_every_recipe_lies_in_the_space_and_its_clusters_fit_its_bits() -> None:
    optimizer = Optimizer(SPACE, worst=[1.0, 1.0], seed=3, known={})
    for number in range(60):
        recipe = optimizer.ask(str(number))
        assert 4 <= recipe["clusters"] <= min(64, 2 ** recipe["bits"])
        assert 2 <= recipe["bits"] <= 8 and 0.3 <= recipe["final_sparsity"] <= 0.9
        optimizer.tell_done(str(number), [recipe["final_sparsity"], 1 - recipe["final_sparsity"]])


def test_the_same_seed_and_results_give_the_same_recipes() -> None:
    def recipes() -> list[dict[str, float | int]]:
        optimizer = Optimizer(SPACE, worst=[1.0, 1.0], seed=5, known={})
        proposed = []
        for number in range(12):
            proposed.append(optimizer.ask(str(number)))
            optimizer.tell_done(str(number), [proposed[-1]["temperature"], proposed[-1]["bits"]])
        return proposed

    assert recipes() == recipes()


def test_refused_recipes_become_rare() -> None:
    """Sparsity below 0.6 does not fit: of the last proposals most must fit; random ones would do so half the time."""
    optimizer = Optimizer(SPACE, worst=[100.0, 8.0], seed=7, known={})
    fits = []
    for number in range(60):
        recipe = optimizer.ask(str(number))
        fits.append(recipe["final_sparsity"] >= 0.6)
        if fits[-1]:
            optimizer.tell_done(str(number), [recipe["temperature"], recipe["bits"]])
        else:
            optimizer.tell_refused(str(number), violation=0.6 - recipe["final_sparsity"])
    assert sum(fits[-30:]) >= 24


def test_a_resumed_search_can_tell_about_known_recipes_and_proposes_new_ones() -> None:
    first = Optimizer(SPACE, worst=[1.0, 1.0], seed=1, known={})
    recipe = first.ask("c001")
    second = Optimizer(SPACE, worst=[1.0, 1.0], seed=1, known={"c001": recipe})
    second.tell_done("c001", [0.1, 0.2])
    assert second.ask("c002") != recipe
