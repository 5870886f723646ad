"""One training's steps of compression, laid over one another by the recipe's schedule."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from dccdka.collaborative.feasibility import require_model_and_recipe
from dccdka.collaborative.filters import filter_structure
from dccdka.collaborative.layers import CompressedLayer, compressed_layers
from dccdka.collaborative.notes import departure, held_back, sentences, stays_float, too_few_for_clusters
from dccdka.collaborative.pruner import FilterPruner, GlobalPruner, GroupedLayer, LayerPruner, Pruner
from dccdka.collaborative.result import CompressedModel, LayerCodes
from dccdka.collaborative.weights import WeightGroup
from dccdka.differences import first_difference
from dccdka.divergence import DivergedError
from dccdka.pruning import pruned_count
from dccdka.recipe import Recipe, RecipeError
from dccdka.schedule import Timeline


class Collaboration:
    """The steps of one training, applied to a model by the recipe's schedule.

    Make the optimiser after it, for it adds the centroids to the model's parameters, and move the model to its device
    before. Call `before_step(t)` before each optimiser step t of `steps`: it renews masks and clusters where they are
    due and computes the weights of that step; several backward passes may go before the optimiser's step, each with
    noise of its own. `finalize` after the last, or `abandon` when training ends early. In eval mode the weights are at
    any time what `finalize` would make of them, except for steps that the schedule has not reached. A layer whose
    weight is frozen is compressed as it is.

    Raises RecipeError when a rule matches no layer, when there is no layer or the weight of one is not its own, when
    filters are to be pruned of a network that torch.fx cannot trace, and when there are no steps.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, steps: int) -> None:
        require_model_and_recipe(model, recipe)
        if steps < 1:
            raise RecipeError(f"steps: must be 1 or more, got {steps}")
        self.model = model
        self.recipe = recipe
        self.timeline = Timeline.of(recipe.schedule, steps)
        self._told = stays_float(model)
        self._fully_pruned = False
        self._clustering_begun = False
        self._finished = False
        compressed = compressed_layers(model, recipe)
        # The network's own ones, of biases or norms, which stay when a compression is abandoned.
        self._others = set(_parametrized(model))
        self._orders = [(module, list(module._parameters)) for module in model.modules()]
        try:
            self._compress(compressed)
        except BaseException:
            self.abandon()
            raise

    def _compress(self, compressed: Sequence[CompressedLayer]) -> None:
        # Filters are followed through the plain network, before anything is put on its layers.
        self._pruner = self._make_pruner({layer.name: layer.settings.final_sparsity for layer in compressed})
        shared = [layer for layer in compressed if layer.settings.clusters is not None]
        plain = [layer for layer in compressed if layer.settings.clusters is None]
        self._groups: dict[str, WeightGroup] = {}
        block = self.recipe.schedule.noise_block
        if shared:
            self._groups["shared"] = WeightGroup(shared, [self._clusters(layer) for layer in shared], block)
        if plain:
            self._groups["plain"] = WeightGroup(plain, None, block)
        places = {
            layer.name: GroupedLayer(layer, self._groups[group], position)
            for group, layers in (("shared", shared), ("plain", plain))
            for position, layer in enumerate(layers)
        }
        self.layers = [places[layer.name] for layer in compressed]

    @property
    def notes(self) -> tuple[str, ...]:
        """Where the recipe cannot be followed to the letter, as far as is known yet: at most a sentence for a layer."""
        return sentences(self.model, self._told)

    @property
    def clustered(self) -> bool:
        """Whether clustering has begun."""
        return any(group.shared for group in self._groups.values())

    @torch.no_grad()
    def before_step(self, step: int) -> None:
        """Renew masks and clusters where the schedule says so, and compute the weights of this step."""
        self._require_unfinished()
        timeline = self.timeline
        # Also where a loop begins later, or leaves that step out.
        if step >= timeline.clustering_begin and not self._clustering_begun:
            self._begin_clustering()
        elif timeline.renews(step):
            if step <= timeline.pruning_end:
                self._prune(step)
            elif self.clustered:
                self._renew_members(step)
        for group in self._groups.values():
            group.noise = timeline.noise_at(step)
            group.update()

    @torch.no_grad()
    def finalize(self) -> CompressedModel:
        """Take the parametrizations off; the model, now plain and in eval mode, becomes the result's module.

        Steps that the schedule had not reached are carried out first. Once quantisation has begun the weights are those
        that the model has in eval mode. Raises DivergedError when weights are not finite, and RuntimeError when called
        again.
        """
        self._require_unfinished()
        if not self.clustered:
            self._begin_clustering()
        self._require_finite()
        self._finished = True
        layers = {layer.name: self._plain(layer) for layer in self.layers}
        for layer in self.layers:
            live = int(layer.mask.count_nonzero())
            self._tell(layer.name, departure(layers[layer.name], layer.layer.settings, live))
        self._pruner.finalize()
        self._restore_orders()
        return CompressedModel(self.model.eval(), layers, self.recipe, self.notes)

    @torch.no_grad()
    def abandon(self) -> None:
        """Take the parametrizations off without a result, for a training that ended early.

        The model is plain again, with the parameters that were trained, neither pruned nor clustered nor rounded. Does
        nothing after `finalize`, or when called again.
        """
        if self._finished:
            return
        self._finished = True
        for module, name in list(_parametrized(self.model)):
            if (module, name) not in self._others:
                parametrize.remove_parametrizations(module, name, leave_parametrized=False)
        self._restore_orders()

    @torch.no_grad()
    def prune_fully(self) -> None:
        """Prune to the final sparsity, for a training that ends before the schedule has come there."""
        if not self._fully_pruned and any(layer.final_sparsity > 0 for layer in self.layers):
            self._pruner.renew(self.layers, lambda final: final)
        self._fully_pruned = True

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of all that training has changed besides the model's own parameters and buffers."""
        parts = {name: group.state() for name, group in self._groups.items()} | {"pruner": self._pruner.state()}
        state = {f"{part}.{name}": value for part, state in parts.items() for name, value in state.items()}
        recipe = torch.frombuffer(bytearray(json.dumps(self.recipe.to_dict()).encode()), dtype=torch.uint8)
        return {**state, "fully_pruned": torch.tensor(self._fully_pruned), "recipe": recipe}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take back a `state_dict` of the same model and recipe. Raises KeyError or ValueError when it is another's."""
        self._require_same_recipe(state["recipe"])
        parts: dict[str, dict[str, Tensor]] = {}
        for key, value in state.items():
            part, _, name = key.partition(".")
            parts.setdefault(part, {})[name] = value
        for name, group in self._groups.items():
            group.load_state(parts[name])
        self._pruner.load_state(parts.get("pruner", {}))
        self._fully_pruned = bool(state["fully_pruned"])
        self._clustering_begun = self.clustered

    def _require_same_recipe(self, written: Tensor) -> None:
        theirs = json.loads(bytes(written.tolist()))
        ours = json.loads(json.dumps(self.recipe.to_dict()))
        different = first_difference(theirs, ours, "the state", "the recipe given here", "recipe")
        if different is not None:
            raise ValueError(f"{different}; make the Collaboration with the recipe of the state")

    def _make_pruner(self, shares: Mapping[str, float]) -> Pruner:
        if self.recipe.pruning == "layer":
            return LayerPruner()
        if self.recipe.pruning == "global":
            return GlobalPruner(self.recipe.final_sparsity)
        structure = filter_structure(self.model)
        for name in structure.fixed:
            self._tell(name, "keeps all its filters: its channels cannot be removed from what reads them")
        for group in structure.groups:
            for name, what in held_back({name: shares[name] for name in group.layers}).items():
                self._tell(name, what)
        return FilterPruner(self.model, structure)

    def _clusters(self, layer: CompressedLayer) -> int:
        """What the recipe asks for, or as many as the layer has weights for."""
        asked = layer.settings.clusters or 0
        weights = layer.module.weight.numel()
        if self.recipe.pruning == "layer":
            weights -= pruned_count(layer.settings.final_sparsity, weights)
            self._tell(layer.name, too_few_for_clusters(layer.settings, weights))
        return min(asked, weights + 1)

    def _require_finite(self) -> None:
        for layer in self.layers:
            if not layer.group.has_codes(layer.position):
                raise DivergedError(
                    f"the weights of {layer.name} are not finite, so there are no codes for them; lower the learning"
                    " rate, or begin with finite weights"
                )

    def _require_unfinished(self) -> None:
        if self._finished:
            raise RuntimeError(
                "the compression was finalized or abandoned: its model is plain; begin another Collaboration for it"
            )

    def _tell(self, layer: str, what: str | None) -> None:
        if what is not None:
            self._told.setdefault(layer, what)

    def _prune(self, step: int) -> None:
        """Weights masked before may live again until pruning ends; then the masks stay."""
        timeline, initial = self.timeline, self.recipe.initial_sparsity

        def now(final: float) -> float:
            return timeline.sparsity_at(step, initial, final)

        if any(now(layer.final_sparsity) > 0 for layer in self.layers):
            self._pruner.renew(self.layers, now)
        self._fully_pruned = step + timeline.interval > timeline.pruning_end

    def _begin_clustering(self) -> None:
        self._clustering_begun = True
        self.prune_fully()
        for group in self._groups.values():
            group.begin_sharing(self.recipe.centroid_init)

    def _renew_members(self, step: int) -> None:
        number = -(-(step - self.timeline.clustering_begin) // self.timeline.interval)
        refit = self.recipe.schedule.refit
        for group in self._groups.values():
            group.renew_members(refit=refit > 0 and number % refit == 0)

    def _restore_orders(self) -> None:
        """Of the modules' parameters: those that were parametrized come last otherwise."""
        for module, names in self._orders:
            for name in names:
                if name in module._parameters:
                    module._parameters[name] = module._parameters.pop(name)

    def _plain(self, layer: GroupedLayer) -> LayerCodes:
        codes = layer.group.codes(layer.position)
        module = layer.layer.module
        parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)
        module.weight.copy_(torch.from_numpy(codes.weights()))
        return codes


def _parametrized(model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Each module of which a parameter is parametrized, with the parameter's name."""
    for module in model.modules():
        if parametrize.is_parametrized(module):
            for name in module.parametrizations:  # type: ignore[union-attr]  # a ModuleDict
                yield module, name
