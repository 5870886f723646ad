"""The adds that run inside convolutions as operators of their own, as ONNX has them."""

from __future__ import annotations

from dataclasses import replace

from dccdka.export.onnx_scales import ratio
from dccdka.lowering.graph import Add, Convolution, Operator, Residual
from dccdka.packing.artifact import Artifact, PlacedTensor


def with_separate_adds(artifact: Artifact) -> Artifact:
    """Computes the same bytes. Between a convolution and its add lies a tensor of its own, behind the others."""
    tensors, operators = list(artifact.tensors), list[Operator]()
    for operator in artifact.operators:
        if not isinstance(operator, Convolution) or (residual := operator.residual) is None:
            operators.append(operator)
            continue
        output = tensors[operator.output]
        own = len(tensors)
        tensors.append(replace(output, zero_point=_zero_point(residual, output, tensors[residual.tensor])))
        operators.append(replace(operator, output=own, residual=None))
        operators.append(
            Add(
                own,
                residual.tensor,
                operator.output,
                residual.multiplier,
                residual.residual_multiplier,
                residual.offset,
                residual.shift,
                residual.low,
                residual.high,
            )
        )
    return replace(artifact, tensors=tuple(tensors), operators=tuple(operators))


def _zero_point(residual: Residual, output: PlacedTensor, other: PlacedTensor) -> int:
    """Of what the convolution itself gives; the artifact has only what it comes to, in the offset."""
    own = ratio(residual.multiplier, residual.shift)
    share = ratio(residual.residual_multiplier, residual.shift) * other.zero_point
    steps = (output.zero_point + 0.5 - residual.offset * 2.0**-residual.shift - share) / own
    return round(min(max(steps, -128), 127))
