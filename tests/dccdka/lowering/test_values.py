"""Which bytes of the graph's image are the channels of torch's."""

from __future__ import annotations

import numpy as np
import pytest

from dccdka.lowering.values import channel_order, image_order, is_along_channels


def test_an_image_lies_pixel_by_pixel():
    order = image_order(2, 3, 4)
    assert order.shape == (4, 2, 3)
    assert order[3, 1, 2] == 1 * 3 * 4 + 2 * 4 + 3


@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 3, 4), (3, 1, 4), (1, 1, 4), (2, 3, 1)])
def test_the_channels_of_an_image_are_found_in_any_order(shape):
    order, channels = image_order(*shape), shape[2]
    assert channel_order(order, *shape).tolist() == list(range(channels))
    assert channel_order(order[::-1], *shape).tolist() == list(range(channels))[::-1]
    assert is_along_channels(order, 0, channels)


def test_an_image_whose_pixels_have_moved_has_no_channels():
    order = image_order(3, 3, 4)
    assert channel_order(order.transpose(0, 2, 1), 3, 3, 4) is None
    assert channel_order(order.transpose(1, 2, 0), 3, 3, 4) is None
    assert channel_order(order.reshape(-1), 3, 3, 4) is None
    assert channel_order(np.roll(order, 1), 3, 3, 4) is None


def test_lines_and_vectors_are_images():
    assert channel_order(image_order(1, 5, 4).reshape(4, 5), 1, 5, 4) is not None
    assert channel_order(image_order(5, 1, 4).reshape(4, 5), 5, 1, 4) is not None
    assert channel_order(np.arange(4, dtype=np.int32), 1, 1, 4) is not None
    assert channel_order(np.arange(4, dtype=np.int32), 4, 1, 1) is None


def test_other_axes_are_not_the_channels():
    order = image_order(4, 4, 4)
    assert not is_along_channels(order, 1, 4)
    assert not is_along_channels(order[::-1], 0, 4)
    assert is_along_channels(order.transpose(1, 2, 0), -1, 4)
