"""The data: read, checked, hashed and split, held in memory as pixels."""

from dccdka.datasets.dataset import Dataset, DatasetError, Normalization, Split
from dccdka.datasets.loading import load_dataset

__all__ = ["Dataset", "DatasetError", "Normalization", "Split", "load_dataset"]
