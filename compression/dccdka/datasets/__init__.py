"""The data: read, checked, hashed and split, held in memory as pixels."""

from dccdka.datasets.dataset import Dataset, DatasetError, Normalization, Split, make_dataset
from dccdka.datasets.image_layout import LAYOUTS, ImageOptions
from dccdka.datasets.loading import load_dataset

__all__ = [
    "LAYOUTS",
    "Dataset",
    "DatasetError",
    "ImageOptions",
    "Normalization",
    "Split",
    "load_dataset",
    "make_dataset",
]
