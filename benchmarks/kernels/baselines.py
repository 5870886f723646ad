"""What users would run otherwise: figures of the MLPerf Tiny int8 models, counted in the same emulator.

TensorFlow Lite Micro 90b983c with CMSIS-NN 4ab83cc3, arm-none-eabi-gcc 12.2, kernels -O2 and core -Os (its release
defaults), only the int8 kernels linked; QEMU 7.2, mps2-an386 and mps2-an500, a TCG plugin counting one inference
between two symbols. Its models are dense, so that each stands beside every recipe. They are the trained reference
networks: many filters of its VWW are zeros, which are multiplied all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SOURCE = "TensorFlow Lite Micro 90b983c with CMSIS-NN 4ab83cc3, gcc 12.2 -O2, QEMU 7.2"


@dataclass(frozen=True)
class Baseline:
    """instructions of one inference, and code with constants but without the model, by core; not measured on others."""

    instructions: Mapping[str, int]
    code_bytes: Mapping[str, int]
    artifact_bytes: int
    arena_bytes: int


BASELINES = {
    "ic": Baseline({"cortex-m4": 29_862_998, "cortex-m7": 30_025_458}, {"cortex-m4": 51_824}, 98_496, 54_996),
    "kws": Baseline({"cortex-m4": 7_698_334, "cortex-m7": 7_644_121}, {"cortex-m4": 54_064}, 53_936, 22_820),
    "vww": Baseline({"cortex-m4": 24_101_942, "cortex-m7": 24_025_568}, {"cortex-m4": 54_064}, 333_288, 100_708),
    "ad": Baseline({"cortex-m4": 582_966, "cortex-m7": 583_259}, {"cortex-m4": 28_544}, 276_976, 2_580),
}
