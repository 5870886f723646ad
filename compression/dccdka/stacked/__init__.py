"""Trains many candidates of one architecture at once: another recipe for each, the same batches for all.

A small student leaves a device idle most of the time: its kernels are over before the next one is launched. Side by
side in one network (`network`), N students take one launch where they took N, and so do their masks, clusters and
rounding (`weights`, `rows`) and Adam (`optimizer`). On a GPU it should pay while one student does not fill it.

On a CPU it pays for small students alone: the candidates' convolutions cost as much together as apart, only the cost of
calls is saved, and the activations of N wide students no longer fit the caches. `python -m benchmarks.stacked` measures
what it brings, with `--width` and `--batch`.

It is not for: recipes with other pruning than of each layer, networks that torch.fx cannot trace, checkpoints, float16
and torch.compile; `compress_stacked` says so. Memory grows with N.
"""

from dccdka.stacked.network import StackingError
from dccdka.stacked.training import compress_stacked

__all__ = ["StackingError", "compress_stacked"]
