"""Emits tensors and operators for the layers of a network: one file for each family of operators."""

from dccdka.lowering.building.builder import build_graph, observed_nodes

__all__ = ["build_graph", "observed_nodes"]
