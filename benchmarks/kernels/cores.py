"""The processors, and the boards of QEMU that have them."""

from __future__ import annotations

# Processor, as gcc and the Makefile call it: QEMU's machine.
MACHINES = {"cortex-m3": "mps2-an385", "cortex-m4": "mps2-an386", "cortex-m7": "mps2-an500"}
