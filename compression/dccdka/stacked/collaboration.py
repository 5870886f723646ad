"""The steps of N trainings at once: what dccdka.collaborative does for one candidate, by each candidate's schedule."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import fx, nn

from dccdka.collaborative import CompressedModel, LayerCodes, compressible_layers
from dccdka.pruning import sparsity_at
from dccdka.quantization import quantize, scale_and_zero_point
from dccdka.recipe import Recipe
from dccdka.stacked.settings import settings_of
from dccdka.stacked.weights import StackedWeights


class _Times:
    """The optimiser steps, of `steps`, at which a recipe's phases begin."""

    def __init__(self, recipe: Recipe, steps: int) -> None:
        schedule = recipe.schedule
        self.pruning_begin = round(schedule.pruning_begin * steps)
        self.pruning_end = round(schedule.pruning_end * steps)
        self.clustering_begin = round(schedule.clustering_begin * steps)
        self.quantization_begin = round(schedule.quantization_begin * steps)
        self.quantization_final = round(schedule.quantization_final * steps)
        self.interval = schedule.interval

    def renews(self, step: int) -> bool:
        return (step - self.pruning_begin) % self.interval == 0


class StackedCollaboration:
    """Prune, cluster and quantise the candidates of a network of `stack_network`.

    Call `before_step(t)` before each step t of `steps`, `after_backward` when the gradients are there, and `finalize`
    after the last step. clustering_begins: the steps, by candidate, at which clusters are found.
    """

    def __init__(self, network: fx.GraphModule, model: nn.Module, recipes: Sequence[Recipe], steps: int) -> None:
        self.network = network
        self.model = model
        self.recipes = recipes
        self.settings = settings_of(model, recipes)
        self.weights = StackedWeights(network, model, self.settings)
        self._times = [_Times(recipe, steps) for recipe in recipes]
        self._live = [[layer.weights for layer in layers] for layers in self.settings]
        self._renewals = [0] * len(recipes)
        self.clustering_begins = [times.clustering_begin for times in self._times]

    @torch.no_grad()
    def before_step(self, step: int) -> None:
        """Renew masks and clusters where the schedules say so, and write the weights that the network computes with."""
        begin = [n for n, times in enumerate(self._times) if step == times.clustering_begin]
        renew = [n for n, times in enumerate(self._times) if step != times.clustering_begin and times.renews(step)]
        self._prune([n for n in renew if step < self._times[n].clustering_begin], step)
        self._begin_clusters(begin)
        self._renew_clusters([n for n in renew if step > self._times[n].clustering_begin])
        noise = [self._noise_at(n, step) for n in range(len(self.recipes))]
        self.weights.apply(noise, [recipe.schedule.noise_block for recipe in self.recipes])

    def after_backward(self) -> None:
        """Turn the gradients of the network's weights into those of what is trained."""
        self.weights.collect()

    @torch.no_grad()
    def finalize(self) -> None:
        """Carry out what the schedules had not reached, and share the weights for the last time."""
        done = [any(layers) for layers in self.weights.clustered]
        self._renew_clusters([n for n, clustered in enumerate(done) if clustered])
        self._begin_clusters([n for n, clustered in enumerate(done) if not clustered])
        every = len(self.recipes)
        self.weights.apply([0.0] * every, [1] * every)

    @torch.no_grad()
    def module_of(self, candidate: int) -> nn.Module:
        """A model with this candidate's weights, as the network computes with them, and statistics; on the CPU."""
        module = copy.deepcopy(self.model).cpu()
        state = self.weights.used_by(candidate)
        own = module.state_dict()
        for name, value in self.network.named_buffers():
            shape = own[name].shape
            state[name] = value.view(len(self.recipes), *shape)[candidate] if shape else value
        module.load_state_dict(state, strict=False)
        return module

    @torch.no_grad()
    def result_of(self, candidate: int) -> CompressedModel:
        """The candidate after `finalize`."""
        module = self.module_of(candidate).eval()
        codes = {}
        layers = zip(compressible_layers(module), self.settings[candidate], strict=True)
        for (name, layer), settings in layers:
            codes[name] = _codes(layer.weight, settings.bits)
            layer.weight.copy_(torch.from_numpy(codes[name].weights()))
        return CompressedModel(module, codes, self.recipes[candidate])

    def _prune(self, candidates: Sequence[int], step: int | None) -> None:
        """Choose masks for the sparsity of a step, None for the final one, where it changes a number of weights."""
        live = {n: [layer.live(self._sparsity(n, i, step)) for i, layer in enumerate(self.settings[n])] for n in candidates}
        changed = [n for n in candidates if live[n] != self._live[n]]
        if changed:
            self.weights.prune(changed, [live[n] for n in changed])
        for n in changed:
            self._live[n] = live[n]

    def _begin_clusters(self, candidates: Sequence[int]) -> None:
        if candidates:
            self._prune(candidates, None)
            self.weights.begin_clusters(candidates)

    def _renew_clusters(self, candidates: Sequence[int]) -> None:
        refits = [self._refits(n) for n in candidates]
        for refit in (False, True):
            chosen = [n for n, due in zip(candidates, refits, strict=True) if due == refit]
            if chosen:
                self.weights.renew_clusters(chosen, refit=refit)

    def _refits(self, candidate: int) -> bool:
        self._renewals[candidate] += 1
        refit = self.recipes[candidate].schedule.refit
        return refit > 0 and self._renewals[candidate] % refit == 0

    def _sparsity(self, candidate: int, layer: int, step: int | None) -> float:
        final = self.settings[candidate][layer].final_sparsity
        if step is None:
            return final
        times = self._times[candidate]
        return sparsity_at(
            step, begin=times.pruning_begin, end=times.pruning_end, interval=times.interval, final=final
        )

    def _noise_at(self, candidate: int, step: int) -> float:
        times = self._times[candidate]
        if step >= times.quantization_final:
            return 1.0
        return self.recipes[candidate].schedule.noise if step >= times.quantization_begin else 0.0


def _codes(shared: torch.Tensor, bits: int) -> LayerCodes:
    scale, zero_point = scale_and_zero_point(shared, bits)
    codes = quantize(shared, scale, zero_point, bits)
    return LayerCodes(codes.to(torch.uint8).numpy(), int(zero_point), float(scale))
