"""What is held out: as many as asked for, no class lost to it, and never part of a subject."""

from __future__ import annotations

import tracemalloc

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from dccdka.datasets import Dataset
from dccdka.datasets.dataset import held_out_images, held_out_subjects, normalization_of

numbers_of = st.lists(st.integers(0, 5), min_size=2, max_size=60).map(np.array)


@given(labels=numbers_of, count=st.integers(1, 60), seed=st.integers(0, 5))
def test_images_are_held_out_in_order_but_for_the_last_of_a_class(labels: np.ndarray, count: int, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(labels))
    held_out = held_out_images(order, labels, count)
    kept = np.setdiff1d(np.arange(len(labels)), held_out)
    assert len(held_out) == min(count, len(labels) - len(np.unique(labels)))
    assert set(labels[kept]) == set(labels)
    if set(labels[order[count:]]) == set(labels):
        assert np.array_equal(held_out, np.sort(order[:count]))


@given(subjects=numbers_of, count=st.integers(1, 60), seed=st.integers(0, 5))
def test_subjects_are_held_out_whole_and_no_more_than_it_takes(subjects: np.ndarray, count: int, seed: int) -> None:
    assume(count <= len(subjects))
    held_out = held_out_subjects(subjects, count, seed)
    kept = np.setdiff1d(np.arange(len(subjects)), held_out)
    assert not set(subjects[held_out]) & set(subjects[kept])
    assert len(held_out) >= count
    sizes = np.bincount(subjects)
    assert len(held_out) - max(sizes[list(set(subjects[held_out]))]) < count


def test_normalizing_takes_little_memory_beside_the_images() -> None:
    images = np.random.default_rng(0).integers(0, 200, (100, 3, 300, 301), dtype=np.uint8)
    tracemalloc.start()
    try:
        found = normalization_of(images)
        assert tracemalloc.get_traced_memory()[1] < 12_000_000 < images.nbytes
    finally:
        tracemalloc.stop()
    assert found.zero == round(images.mean())
    assert np.isclose(found.scale, 1 / images.std())


def test_a_data_set_is_shown_in_short(tiny: Dataset) -> None:
    assert repr(tiny) == (
        "Dataset('fashion-mnist', train 128, validation 5000, test 10000 images [1, 28, 28], 10 classes,"
        f" sha256 {tiny.sha256[:12]}...)"
    )
    assert repr(tiny.train) == "Split(images uint8 [128, 1, 28, 28])"
