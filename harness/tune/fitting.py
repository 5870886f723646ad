"""From measured layers to what a unit of each kind of work costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dccdka.packing.choice import Kernel, KernelChoice
from dccdka.packing.costs import KernelFit
from dccdka.packing.work import Layer, kinds_of_work, work

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """What one inference of a layer took, in any unit."""

    choice: KernelChoice
    layer: Layer
    cost: float


def fit_kernels(measured: Sequence[Measured]) -> dict[Kernel, KernelFit]:
    """A fit for every kernel; each must have been measured."""
    return {kernel: fit_kernel(kernel, [m for m in measured if m.choice.kernel is kernel]) for kernel in Kernel}


def fit_kernel(kernel: Kernel, measured: Sequence[Measured]) -> KernelFit:
    """Least squares of relative errors, costs >= 0: a large layer weighs no more than a small one.

    The errors are those of each layer estimated from all the others, so that they hold for layers never measured.
    """
    kinds = kinds_of_work(kernel)
    amounts = np.array([_row(work(m.choice, m.layer), kinds) for m in measured])
    taken = np.array([m.cost for m in measured])
    shares = amounts / taken[:, np.newaxis]
    errors = [_error_of_left_out(shares, left_out) for left_out in range(len(measured))]
    costs = _fitted(shares)
    return KernelFit(
        dict(zip(kinds, map(float, costs), strict=True)),
        measurements=len(measured),
        typical_error=float(np.median(errors)),
        largest_error=float(np.max(errors)),
    )


def nonnegative_least_squares(matrix: _Floats, target: _Floats) -> _Floats:
    """The x >= 0 that makes |matrix x - target| least; matrix [m, n], target [m].

    Algorithm NNLS of Lawson & Hanson, Solving Least Squares Problems (1974), chapter 23.
    """
    columns = matrix.shape[1]
    x = np.zeros(columns)
    free = np.zeros(columns, bool)
    tolerance = 1e-10 * float(np.abs(matrix).sum(axis=0).max()) * float(np.abs(target).max())
    for _ in range(3 * columns):
        gradient = matrix.T @ (target - matrix @ x)
        gradient[free] = -np.inf
        steepest = int(np.argmax(gradient))
        if gradient[steepest] <= tolerance:
            break
        free[steepest] = True
        while free.any():
            solution = np.zeros(columns)
            solution[free] = np.linalg.lstsq(matrix[:, free], target, rcond=None)[0]
            beyond = free & (solution <= 0)
            if not beyond.any():
                x = solution
                break
            # As far towards the solution as all stay positive; those that reach zero are held there.
            step = float(np.min(x[beyond] / (x[beyond] - solution[beyond])))
            x += step * (solution - x)
            free &= x > 1e-12 * max(1e-300, float(x.max()))
    return x


def _row(done: Mapping[str, float], kinds: Sequence[str]) -> list[float]:
    return [done.get(kind, 0.0) for kind in kinds]


def _fitted(shares: _Floats) -> _Floats:
    """Costs per unit from amounts / cost, [measurements, kinds]: those that sum up to 1 in each row."""
    scale = np.linalg.norm(shares, axis=0)
    scale[scale == 0] = 1.0  # never done in these measurements: its cost stays 0
    costs: _Floats = nonnegative_least_squares(shares / scale, np.ones(len(shares))) / scale
    return costs


def _error_of_left_out(shares: _Floats, left_out: int) -> float:
    others = np.delete(shares, left_out, axis=0)
    return abs(float(shares[left_out] @ _fitted(others)) - 1.0)
