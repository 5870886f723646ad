"""The steps of N trainings at once: what dccdka.collaborative does for one candidate, by each candidate's schedule."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import fx, nn

from dccdka.collaborative import CompressedModel, LayerCodes
from dccdka.collaborative.layers import compressed_layers
from dccdka.collaborative.notes import departure, sentences, stays_float
from dccdka.quantization import quantize, scale_and_zero_point
from dccdka.recipe import Recipe
from dccdka.schedule import Timeline
from dccdka.stacked.plans import plans_of
from dccdka.stacked.weights import StackedWeights


class StackedCollaboration:
    """Prune, cluster and quantise the candidates of a network of `stack_network`.

    Call `before_step(t)` before each step t of `steps`, `after_backward` when the gradients are there, and `finalize`
    after the last step. clustering_begins: the steps, by candidate, at which clusters are found.
    """

    def __init__(self, network: fx.GraphModule, model: nn.Module, recipes: Sequence[Recipe], steps: int) -> None:
        self.network = network
        self.model = model
        self.recipes = recipes
        self.plans = plans_of(model, recipes)
        self.weights = StackedWeights(network, model, self.plans)
        self._timelines = [Timeline.of(recipe.schedule, steps) for recipe in recipes]
        self._fully_pruned = [False] * len(recipes)
        self._begun = [False] * len(recipes)
        self.clustering_begins = [timeline.clustering_begin for timeline in self._timelines]

    @torch.no_grad()
    def before_step(self, step: int) -> None:
        """Renew masks and clusters where the schedules say so, and write the weights that the network computes with."""
        begins = self.clustering_begins
        self._begin_clusters([n for n, begin in enumerate(begins) if step == begin])
        renewing = [n for n, timeline in enumerate(self._timelines) if step != begins[n] and timeline.renews(step)]
        self._prune([n for n in renewing if step <= self._timelines[n].pruning_end], step)
        self._renew_clusters([n for n in renewing if step > begins[n]], step)
        noise = [timeline.noise_at(step) for timeline in self._timelines]
        self.weights.apply(noise, [recipe.schedule.noise_block for recipe in self.recipes])

    def after_backward(self) -> None:
        """Turn the gradients of the network's weights into those of what is trained."""
        self.weights.collect()

    @torch.no_grad()
    def finalize(self) -> None:
        """Carry out what the schedules have not reached."""
        self._begin_clusters([n for n, begun in enumerate(self._begun) if not begun])
        every = len(self.recipes)
        self.weights.apply([0.0] * every, [1] * every)

    @torch.no_grad()
    def module_of(self, candidate: int) -> nn.Module:
        """A model with this candidate's weights, as the network computes with them, and statistics; on the CPU."""
        module = copy.deepcopy(self.model).cpu()
        state = self.weights.used_by(candidate)
        own = module.state_dict()
        for name, value in self.network.named_buffers():
            if name not in own:  # a constant made in the forward, which only the trace keeps as a buffer
                continue
            shape = own[name].shape
            state[name] = value.view(len(self.recipes), *shape)[candidate] if shape else value
        module.load_state_dict(state, strict=False)
        return module

    @torch.no_grad()
    def result_of(self, candidate: int) -> CompressedModel:
        """The candidate after `finalize`."""
        module = self.module_of(candidate).eval()
        recipe = self.recipes[candidate]
        codes, told = {}, stays_float(module)
        for layer, plan in zip(compressed_layers(module, recipe), self.plans[candidate], strict=True):
            codes[layer.name] = _codes(layer.module.weight, plan.bits)
            layer.module.weight.copy_(torch.from_numpy(codes[layer.name].weights()))
            what = departure(codes[layer.name], layer.settings, plan.live(plan.final_sparsity))
            if what is not None:
                told[layer.name] = what
        return CompressedModel(module, codes, recipe, sentences(module, told))

    def _prune(self, candidates: Sequence[int], step: int | None) -> None:
        """Choose masks for the sparsity of a step, None for the final one; what was masked may live again."""
        live = [
            [plan.live(self._sparsity(n, layer, step)) for layer, plan in enumerate(self.plans[n])] for n in candidates
        ]
        pruned = [i for i, n in enumerate(candidates) if live[i] != [plan.weights for plan in self.plans[n]]]
        if pruned:
            self.weights.prune([candidates[i] for i in pruned], [live[i] for i in pruned])
        for n in candidates:
            timeline = self._timelines[n]
            self._fully_pruned[n] = step is None or step + timeline.interval > timeline.pruning_end

    def _begin_clusters(self, candidates: Sequence[int]) -> None:
        if candidates:
            self._prune([n for n in candidates if not self._fully_pruned[n]], None)
            self.weights.begin_clusters(candidates)
        for n in candidates:
            self._begun[n] = True

    def _renew_clusters(self, candidates: Sequence[int], step: int) -> None:
        refits = [self._refits(n, step) for n in candidates]
        for refit in (False, True):
            chosen = [n for n, due in zip(candidates, refits, strict=True) if due == refit]
            if chosen:
                self.weights.renew_clusters(chosen, refit=refit)

    def _refits(self, candidate: int, step: int) -> bool:
        timeline, refit = self._timelines[candidate], self.recipes[candidate].schedule.refit
        number = -(-(step - timeline.clustering_begin) // timeline.interval)
        return refit > 0 and number % refit == 0

    def _sparsity(self, candidate: int, layer: int, step: int | None) -> float:
        settings = self.plans[candidate][layer]
        if step is None:
            return settings.final_sparsity
        return self._timelines[candidate].sparsity_at(
            step, self.recipes[candidate].initial_sparsity, settings.final_sparsity
        )


def _codes(shared: torch.Tensor, bits: int) -> LayerCodes:
    scale, zero_point = scale_and_zero_point(shared, bits)
    codes = quantize(shared, scale, zero_point, bits)
    return LayerCodes(codes.to(torch.uint8).numpy(), int(zero_point), float(scale))
