"""Measurements that the documentation quotes; each module prints its own with `python -m benchmarks.NAME`."""
