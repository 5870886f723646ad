"""A network that is trained: its optimiser, its learning rate, what compresses it, and all of their state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException

from dccdka.batches import Batch
from dccdka.collaborative import Collaboration
from dccdka.divergence import DivergedError, diverged_after, diverged_at, is_finite
from dccdka.evaluation import NetworkError
from dccdka.function_reference import in_one_line
from dccdka.learning_rate import learning_rate_factor
from dccdka.recipe import Recipe
from dccdka.training_config import TrainingConfig, TrainingConfigError

# Where no recipe says how the learning rate runs: up for a fifth of the steps, then down.
WARM_UP = 0.2

_AUTOCAST_TYPES = {"none": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Learner:
    """Takes the optimiser steps of one network, by Adam; with a recipe the network is compressed meanwhile.

    name: what messages call it. Each step t is `before_step(t)`, a call with the images, and `learn`.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        config: TrainingConfig,
        device: torch.device,
        steps: int,
        recipe: Recipe | None = None,
    ) -> None:
        # The centroids that come later are trained too, but alone they would do nothing.
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise TrainingConfigError(f"model: {name} has no parameter that could be trained")
        self.name = name
        self.model = model.to(device).train()
        self.config = config
        self.device = device
        self.steps = steps
        self.recipe = recipe
        self.collaboration = Collaboration(model, recipe, steps=steps) if recipe is not None else None
        try:
            self._make_ready()
        except BaseException:
            self.abandon()
            raise

    def _make_ready(self) -> None:
        model, config, device = self.model, self.config, self.device
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.Adam(trained, lr=config.learning_rate, fused=True)
        # Half-precision gradients underflow without a scale; those of bf16 have the range of float32.
        self._type = _AUTOCAST_TYPES[config.autocast]
        self._scaler = torch.amp.GradScaler(device.type, enabled=config.autocast == "fp16")
        self._forward = self._compiled(model) if config.compile else model
        # A look at the loss waits for a GPU, so there it is noted on the device and looked at now and then.
        self.looks_each_step = device.type == "cpu"
        self._first_bad_step = torch.full((), -1, device=device)

    def before_step(self, step: int) -> None:
        """Renew masks, clusters and noise where the recipe's schedule says so, and set the learning rate."""
        warm_up, decay_begin = WARM_UP, WARM_UP
        if self.collaboration is not None and self.recipe is not None:
            self.collaboration.before_step(step)
            warm_up, decay_begin = self.recipe.schedule.warm_up, self.recipe.schedule.pruning_end
        factor = learning_rate_factor(step, self.steps, warm_up=warm_up, decay_begin=decay_begin)
        for group in self._optimizer.param_groups:
            group["lr"] = self.config.learning_rate * factor

    def __call__(self, images: Tensor) -> Tensor:
        """Logits float32 [n, classes], in training mode.

        Raises TrainingConfigError when they cannot be compiled, NetworkError when the network gives something else.
        """
        with self._compiling(), self._autocast():
            logits: object = self._forward(images)
        if not isinstance(logits, Tensor):
            raise NetworkError(
                f"{self.name}: gives a {type(logits).__name__} in training mode, must give logits [n, classes] as in"
                " eval mode; turn auxiliary outputs off"
            )
        return logits.float()

    def learn(self, loss: Tensor, batch: Batch, step: int) -> None:
        """One optimiser step on the loss of a batch. Raises DivergedError where the loss is looked at each step."""
        if self.looks_each_step:
            if not is_finite(loss.detach()):
                raise self._diverged(step, batch)
        else:
            loss = self._noted(loss, step)
        self._optimizer.zero_grad()
        with self._compiling():
            self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # untyped in torch
        self._scaler.step(self._optimizer)
        self._scaler.update()

    def look(self, batch_of: Callable[[int], Batch]) -> None:
        """Raises DivergedError when a loss noted since the last look was not finite; batch_of makes a step's batch."""
        step = int(self._first_bad_step)
        if step >= 0:
            raise self._diverged(step, batch_of(step))

    def require_finite(self) -> None:
        """Raises DivergedError when the last step, which no loss has seen, made weights that are not finite."""
        error = diverged_after(self.steps, self.name, self.model)
        if error is not None:
            raise error

    def abandon(self) -> None:
        """Leave the network plain and on the CPU, with the parameters that it has come to."""
        if self.collaboration is not None:
            self.collaboration.abandon()
        self.model.cpu()

    def state_dict(self) -> dict[str, Tensor]:
        """All that the steps so far have changed; what `load_state_dict` takes back into a learner made alike."""
        groups = {"model": self.model.state_dict(), "scaler": _numbers(self._scaler.state_dict())}
        if self.collaboration is not None:
            groups["collaboration"] = self.collaboration.state_dict()
        for index, moments in self._optimizer.state_dict()["state"].items():
            groups[f"optimizer.{index}"] = moments
        return {f"{group}/{name}": tensor for group, tensors in groups.items() for name, tensor in tensors.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of `state_dict`. Raises KeyError, RuntimeError or ValueError when the state is another network's."""
        groups: dict[str, dict[str, Tensor]] = {}
        for key, tensor in state.items():
            group, _, name = key.partition("/")
            groups.setdefault(group, {})[name] = tensor
        # What compresses the network comes first: it may give the network the buffers that the model's state fills.
        if self.collaboration is not None:
            self.collaboration.load_state_dict(groups["collaboration"])
        self.model.load_state_dict(groups["model"])
        moments = {int(key.partition(".")[2]): value for key, value in groups.items() if key.startswith("optimizer.")}
        self._require_moments(moments)
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": moments})
        if self._scaler.is_enabled():
            self._scaler.load_state_dict({name: tensor.item() for name, tensor in groups["scaler"].items()})

    def _require_moments(self, moments: Mapping[int, Mapping[str, Tensor]]) -> None:
        """The optimiser itself looks at no shape before it takes a step."""
        (group,) = self._optimizer.param_groups
        for index, values in moments.items():
            if not 0 <= index < len(group["params"]) or set(values) != {"step", "exp_avg", "exp_avg_sq"}:
                raise ValueError(f"optimizer.{index}: not the moments of a parameter")
            shape = group["params"][index].shape
            if values["exp_avg"].shape != shape or values["exp_avg_sq"].shape != shape or values["step"].ndim:
                raise ValueError(f"optimizer.{index}: expected moments of shape {list(shape)}")

    def _noted(self, loss: Tensor, step: int) -> Tensor:
        """Note a bad loss; from then on no step is taken, so that the weights stay those that it came from."""
        bad = ~torch.isfinite(loss.detach())
        self._first_bad_step = torch.where(bad & (self._first_bad_step < 0), step, self._first_bad_step)
        if self._scaler.is_enabled():
            # The scaler takes no step by gradients that are not finite.
            return loss * torch.where(self._first_bad_step < 0, 1.0, torch.nan)
        # Adam's fused kernel takes no step where this is 1.
        self._optimizer.found_inf = (self._first_bad_step >= 0).float()  # type: ignore[attr-defined]  # torch's own
        return loss

    def _diverged(self, step: int, batch: Batch) -> DivergedError:
        with self._autocast():  # float16 overflows where float32 does not
            return diverged_at(step, self.steps, self.name, self.model, batch.images)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self._type, enabled=self.config.autocast != "none")

    def _compiled(self, model: nn.Module) -> Callable[..., object]:
        try:
            return torch.compile(model)
        except RuntimeError as error:  # where torch has no compiler for this Python
            raise self._not_compiled(error) from error

    @contextmanager
    def _compiling(self) -> Iterator[None]:
        try:
            yield
        except TorchDynamoException as error:
            raise self._not_compiled(error) from error

    def _not_compiled(self, error: Exception) -> TrainingConfigError:
        return TrainingConfigError(
            f"compile: torch cannot compile {self.name}: {in_one_line(error)}; on the CPU it needs a C++ compiler;"
            " compile: false does without"
        )


@contextmanager
def abandoned_on_failure(learners: Sequence[Learner]) -> Iterator[None]:
    """Whatever ends a training early, also Ctrl-C, its networks can be trained again; learners may be added inside."""
    try:
        yield
    except BaseException:
        for learner in learners:
            learner.abandon()
        raise


def _numbers(values: Mapping[str, float | int]) -> dict[str, Tensor]:
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}
