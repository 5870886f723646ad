"""An add that follows a convolution becomes part of it: one tensor less, and the same bytes."""

from __future__ import annotations

from dataclasses import replace

from dccdka.lowering.graph import Add, Concatenate, Convolution, IntegerGraph, Multiply, Operator, Residual, inputs_of


def fuse_residuals(graph: IntegerGraph) -> IntegerGraph:
    """Adds go into the convolution whose output only they read, where the other tensor is there when it runs.

    Of two such convolutions it is the later one, so that no tensor lives longer. What comes out computes bit for bit
    the same; tensors that nothing names any more are left out.
    """
    operators: list[Operator | None] = list(graph.operators)
    readers = _readers(graph)
    for add in graph.operators:
        if not isinstance(add, Add) or add.input == add.second:
            continue
        made_by = _makers(operators)
        made = max(add.input, add.second, key=lambda tensor: made_by.get(tensor, -1))
        convolution = operators[made_by[made]] if made in made_by else None
        if not isinstance(convolution, Convolution) or convolution.residual is not None:
            continue
        if readers[made] == 1:
            operators[made_by[made]] = _with_residual(convolution, add)
            operators[made_by[add.output]] = None
    return _without_unused(replace(graph, operators=tuple(o for o in operators if o is not None)))


def _readers(graph: IntegerGraph) -> list[int]:
    """How often each tensor is read; the graph's output is read once more."""
    readers = [0] * len(graph.tensors)
    for tensor in (graph.output, *(i for operator in graph.operators for i in inputs_of(operator))):
        readers[tensor] += 1
    return readers


def _makers(operators: list[Operator | None]) -> dict[int, int]:
    """The operator that makes each tensor, by the tensor's index."""
    return {operator.output: i for i, operator in enumerate(operators) if operator is not None}


def _with_residual(convolution: Convolution, add: Add) -> Convolution:
    first = add.input == convolution.output
    own, other = (add.multiplier, add.second_multiplier) if first else (add.second_multiplier, add.multiplier)
    tensor = add.second if first else add.input
    residual = Residual(tensor, own, other, add.offset, add.shift, add.low, add.high)
    return replace(convolution, output=add.output, residual=residual)


def _without_unused(graph: IntegerGraph) -> IntegerGraph:
    used = {graph.input, graph.output}
    for operator in graph.operators:
        used |= {operator.output, *inputs_of(operator)}
    kept = sorted(used)
    place = {tensor: i for i, tensor in enumerate(kept)}
    return IntegerGraph(
        tuple(graph.tensors[i] for i in kept),
        tuple(_renamed(operator, place) for operator in graph.operators),
        place[graph.input],
        place[graph.output],
    )


def _renamed(operator: Operator, place: dict[int, int]) -> Operator:
    x, y = place[operator.input], place[operator.output]
    match operator:
        case Convolution(residual=Residual() as residual):
            return replace(operator, input=x, output=y, residual=replace(residual, tensor=place[residual.tensor]))
        case Add() | Multiply() | Concatenate():
            return replace(operator, input=x, second=place[operator.second], output=y)
        case _:
            return replace(operator, input=x, output=y)
