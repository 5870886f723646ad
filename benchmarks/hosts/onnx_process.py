"""A process of its own that runs an ONNX model with onnxruntime on one thread: python -m ... MODEL INFERENCES.

Prints the shortest inference's microseconds. Input and output stay where they are, so that an inference is little but
the network's own kernels, the quantising of its input and that of its output back.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime


def shortest(model: Path, inferences: int) -> float:
    """In microseconds."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    binding = session.io_binding()
    shape = [size if isinstance(size, int) else 1 for size in given.shape]
    binding.bind_cpu_input(given.name, np.random.default_rng(0).standard_normal(shape).astype(np.float32))
    binding.bind_output(session.get_outputs()[0].name, "cpu")
    session.run_with_iobinding(binding)
    best = float("inf")
    os.getppid()  # tells instruction_total.c where to begin and to end
    for _ in range(inferences):
        begin = time.perf_counter()
        session.run_with_iobinding(binding)
        best = min(best, time.perf_counter() - begin)
    os.getppid()
    return best * 1e6


if __name__ == "__main__":
    print(shortest(Path(sys.argv[1]), int(sys.argv[2])))
