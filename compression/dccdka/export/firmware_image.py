"""An artifact as the C file that makes the agent's firmware one of this model alone (agents/firmware/core/image.h)."""

from __future__ import annotations

from dccdka.export.c_array import c_numbers
from dccdka.export.operator_table import OperatorTable
from dccdka.packing.artifact import Artifact

AGENT = "one-model"  # what such firmware calls itself in its hello
_OPERATORS = "image_operators"  # whose section the linker scripts count among the runtime's


def image_source(artifact: Artifact) -> str:
    """With the table of what the artifact uses, so that the linker drops the rest of the runtime."""
    return f"""/* The firmware's only model, and what of the runtime it needs. SHA-256 of the artifact:
 * {artifact.sha256}
 */
#include "image.h"
#include "operators.h"

{OperatorTable.of(artifact).c_source(_OPERATORS)}
static const union {{
    uint8_t bytes[{len(artifact.data)}];
    uint32_t alignment;
}} artifact = {{{{
{c_numbers(memoryview(artifact.data))}}}}};

const firmware_image image = {{&{_OPERATORS}, artifact.bytes, sizeof artifact.bytes, "{AGENT}"}};
"""
