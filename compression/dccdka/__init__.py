"""DCCDKA: knowledge distillation with pruning, clustering and quantisation that act together on every layer.

This package holds the algorithm, the data it trains on, and the way from a trained module to the packed artifact. It
knows nothing of devices, searches or reports.
"""
