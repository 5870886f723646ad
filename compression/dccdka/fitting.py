"""The steps of one training, from its first or from a checkpoint to its last."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from dccdka.batches import Batch, Batches, EpochPlan
from dccdka.checkpoint import Checkpoint
from dccdka.learner import Learner
from dccdka.progress import OnProgress, Progress
from dccdka.training_config import TrainingConfig

# The loss is looked at this often: each look waits for the GPU.
REPORT_INTERVAL = 10

# (logits float32 [n, classes], the batch, number of the step) -> loss
LossOfBatch = Callable[[Tensor, Batch, int], Tensor]


def fit(
    learner: Learner,
    batches: Batches,
    loss_of: LossOfBatch,
    config: TrainingConfig,
    on_progress: OnProgress,
    *,
    beside: Sequence[Learner] = (),
    checkpoint: Checkpoint | None = None,
) -> None:
    """Train the learner; on the CPU the same for the same seed and number of threads, interrupted or not.

    beside: learners that loss_of trains along; they are looked at and saved too. Raises DivergedError, CheckpointError.
    """
    learners = (learner, *beside)
    per_epoch = batches.per_epoch
    steps = config.epochs * per_epoch
    order = torch.Generator().manual_seed(config.seed)
    # Quantisation noise and dropout draw from the global generator of the device.
    torch.manual_seed(config.seed)
    begin = _restore(checkpoint, learners, order) if checkpoint is not None else 0
    saved = time.monotonic()
    for epoch in range(begin // per_epoch, config.epochs):
        order_before = order.get_state()
        plan = batches.plan(order)
        for position in range(begin % per_epoch if epoch == begin // per_epoch else 0, per_epoch):
            step = epoch * per_epoch + position
            batch = batches.take(plan, position)
            learner.before_step(step)
            loss = loss_of(learner(batch.images), batch, step)
            learner.learn(loss, batch, step)
            done = step + 1
            save_due = checkpoint is not None and (done == steps or time.monotonic() - saved >= config.checkpoint_every)
            # Also at the end of an epoch: the batches of a step can be made again while its plan is at hand. And before
            # a checkpoint, which is of no use once a loss was bad.
            if done % REPORT_INTERVAL == 0 or position == per_epoch - 1 or save_due:
                for each in learners:
                    each.look(partial(_batch_of, batches, plan))
            if done % REPORT_INTERVAL == 0 or done == steps:
                on_progress(Progress(done, steps, epoch, loss.item()))
            if checkpoint is not None and save_due:
                # An epoch is drawn from the generator's state at its beginning.
                order_state = order.get_state() if position == per_epoch - 1 else order_before
                _save(checkpoint, learners, done, order_state)
                saved = time.monotonic()
    for each in learners:
        each.require_finite()


def _batch_of(batches: Batches, plan: EpochPlan, step: int) -> Batch:
    return batches.take(plan, step % batches.per_epoch)


def _save(checkpoint: Checkpoint, learners: Sequence[Learner], step: int, order_state: Tensor) -> None:
    tensors = {"step": torch.tensor(step), "random/order": order_state, "random/cpu": torch.get_rng_state()}
    device = learners[0].device
    if device.type != "cpu":
        tensors["random/device"] = torch.get_device_module(device).get_rng_state(device)
    for number, learner in enumerate(learners):
        tensors.update({f"learner{number}/{name}": tensor for name, tensor in learner.state_dict().items()})
    checkpoint.save(tensors)


def _restore(checkpoint: Checkpoint, learners: Sequence[Learner], order: torch.Generator) -> int:
    """The number of steps that the file holds; 0 when there is none."""
    tensors = checkpoint.load()
    if tensors is None:
        return 0
    try:
        for number, learner in enumerate(learners):
            prefix = f"learner{number}/"
            learner.load_state_dict(
                {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
            )
        order.set_state(tensors["random/order"])
        torch.set_rng_state(tensors["random/cpu"])
        device = learners[0].device
        if device.type != "cpu":
            torch.get_device_module(device).set_rng_state(tensors["random/device"], device)
        step = int(tensors["step"])
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise checkpoint.damaged(f"its state does not fit: {' '.join(str(error).split())[:200]}") from error
    if not 0 <= step <= learners[0].steps:
        raise checkpoint.damaged(f"it is at step {step} of {learners[0].steps}")
    return step
