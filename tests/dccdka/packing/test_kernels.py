"""Which convolution each kernel takes and its scratch, computed by hand from FORMAT.md."""

from __future__ import annotations

import numpy as np
import pytest

from dccdka.lowering.graph import POINT, Window
from dccdka.packing.choice import Encoding, Kernel, KernelChoice
from dccdka.packing.kernels import Shape, may_overwrite, overwrites_safely, refusal, scratch_bytes

SAME = Window((3, 3), (1, 1), (1, 1))
PLAIN = Shape((9, 11, 6), (9, 11, 5), SAME, 1, False)
DEPTHWISE = Shape((9, 11, 6), (5, 6, 6), Window((3, 3), (2, 2), (1, 1)), 6, False)
FLAT = Shape((1, 1, 99), (1, 1, 5), POINT, 1, True)
WHOLE = Shape((3, 4, 6), (1, 1, 5), Window((3, 4), (2, 2), (0, 0)), 1, False)
POINTWISE = Shape((9, 11, 6), (9, 11, 5), POINT, 1, False)
LONG_ROWS = Shape((1, 9, 40000), (1, 9, 1), Window((1, 3), (1, 1), (0, 1)), 1, False)
DILATED = Shape((9, 11, 6), (9, 11, 5), Window((3, 3), (1, 1), (1, 1), (1, 2)), 1, False)
NONZEROS, ENTRIES = np.array([3, 9, 0, 2, 5]), np.array([2, 6, 0, 2, 4])

RAW, INDEXED, CODED = Encoding.RAW, Encoding.INDEXED, Encoding.CODED


@pytest.mark.parametrize(
    ("choice", "shape", "expected"),
    [
        (KernelChoice(Kernel.GENERAL, INDEXED), PLAIN, 20 + 4 * 9),
        (KernelChoice(Kernel.GENERAL, INDEXED), WHOLE, 0),
        (KernelChoice(Kernel.GENERAL, CODED), FLAT, 0),
        (KernelChoice(Kernel.TILE, RAW, 4), PLAIN, 8 * 4 + 32 + 8 * 3 * 20),
        (KernelChoice(Kernel.TILE, CODED, 5), PLAIN, 8 * 5 + 32 + 8 * 3 * 20 + 3 * 20 * 6),
        # 3 input rows of 8 channels, that is 4 words, at 11 + 2 places; the group of filters 0 and 1 has 8 entries.
        (KernelChoice(Kernel.BAND, INDEXED, 2, 1), PLAIN, 8 * 2 + 4 * 3 + 8 * 8 + 3 * 4 * 13 * 4),
        (KernelChoice(Kernel.BAND, INDEXED, 5, 4), PLAIN, 8 * 5 + 4 * 6 + 8 * 14 + 6 * 4 * 13 * 4),
        # One row of as many places as the rows together have, at least 8.
        (KernelChoice(Kernel.BAND, INDEXED, 1, 3), POINTWISE, 8 + 8 + 8 * 6 + 4 * 33 * 4),
        # 11 input rows of 1 + 11 values, 2 before and 16 behind them; 5 tiles; 6 channels filled up to 8.
        (KernelChoice(Kernel.DEPTHWISE, INDEXED, 1, 5), DEPTHWISE, 8 * (2 + 11 * 12 + 16) + 8 * 9 + 36 * 5 + 4 + 8),
        (KernelChoice(Kernel.VECTOR, RAW), FLAT, 0),
    ],
)
def test_scratch(choice, shape, expected):
    assert refusal(choice, shape) is None
    assert scratch_bytes(choice, shape, NONZEROS, ENTRIES) == expected


def test_the_band_of_a_stride_has_as_many_phases():
    shape = Shape((9, 11, 6), (5, 6, 5), Window((3, 3), (2, 2), (1, 1)), 1, False)
    # Rows 3 + 2, 4 words, 2 phases, pitch 8 + 1.
    assert scratch_bytes(KernelChoice(Kernel.BAND, INDEXED, 1, 2), shape, NONZEROS, ENTRIES) == (
        8 + 8 + 8 * 6 + 5 * 4 * 2 * 9 * 4
    )


@pytest.mark.parametrize(
    ("choice", "shape"),
    [
        (KernelChoice(Kernel.GENERAL, RAW), PLAIN),
        (KernelChoice(Kernel.GENERAL, INDEXED, 2), PLAIN),
        (KernelChoice(Kernel.GENERAL, INDEXED), LONG_ROWS),
        (KernelChoice(Kernel.TILE, RAW, 3), PLAIN),  # odd, and not all
        (KernelChoice(Kernel.TILE, RAW, 6), PLAIN),
        (KernelChoice(Kernel.TILE, RAW, 4, 2), PLAIN),
        (KernelChoice(Kernel.TILE, INDEXED, 4), DEPTHWISE),
        (KernelChoice(Kernel.TILE, INDEXED, 4), FLAT),
        (KernelChoice(Kernel.BAND, RAW, 4), PLAIN),
        (KernelChoice(Kernel.BAND, INDEXED, 0), PLAIN),
        (KernelChoice(Kernel.BAND, INDEXED, 1, 10), PLAIN),
        (KernelChoice(Kernel.BAND, INDEXED), DILATED),
        (KernelChoice(Kernel.BAND, INDEXED), FLAT),
        (KernelChoice(Kernel.DEPTHWISE, INDEXED), PLAIN),
        (KernelChoice(Kernel.DEPTHWISE, INDEXED), Shape((9, 11, 6), (9, 11, 12), SAME, 6, False)),
        (KernelChoice(Kernel.DEPTHWISE, INDEXED, 2), DEPTHWISE),
        (KernelChoice(Kernel.VECTOR, INDEXED), FLAT),
        (KernelChoice(Kernel.VECTOR, RAW), PLAIN),
        (KernelChoice(Kernel.VECTOR, RAW), Shape((3, 4, 6), (1, 1, 5), Window((3, 3), (1, 1), (0, 0)), 1, False)),
        (KernelChoice(Kernel.VECTOR, RAW), Shape((2, 4, 6), (1, 1, 5), Window((3, 4), (1, 1), (1, 0)), 1, False)),
    ],
)  # fmt: skip
def test_what_a_kernel_does_not_take(choice, shape):
    assert refusal(choice, shape) is not None


def test_a_vector_takes_a_window_that_is_the_image():
    assert refusal(KernelChoice(Kernel.VECTOR, RAW), WHOLE) is None


DEPTHWISE_SAME = Shape((9, 11, 6), (9, 11, 6), SAME, 6, False)


@pytest.mark.parametrize(
    ("choice", "shape", "expected"),
    [
        (KernelChoice(Kernel.TILE, RAW, 5), POINTWISE, True),
        (KernelChoice(Kernel.BAND, INDEXED, 5, 2), POINTWISE, True),
        (KernelChoice(Kernel.DEPTHWISE, INDEXED, 1, 9), DEPTHWISE_SAME, True),
        (KernelChoice(Kernel.TILE, RAW, 4), POINTWISE, False),
        (KernelChoice(Kernel.BAND, INDEXED, 4, 9), POINTWISE, False),
        (KernelChoice(Kernel.GENERAL, INDEXED), POINTWISE, False),
        (KernelChoice(Kernel.VECTOR, RAW), WHOLE, False),
        (KernelChoice(Kernel.TILE, RAW, 5), PLAIN, False),
        (KernelChoice(Kernel.TILE, RAW, 5), Shape((9, 11, 6), (8, 11, 5), POINT, 1, False), False),
        (KernelChoice(Kernel.DEPTHWISE, INDEXED, 1, 8), DEPTHWISE_SAME, False),
        (KernelChoice(Kernel.DEPTHWISE, INDEXED, 1, 5), DEPTHWISE, False),
    ],
)
def test_what_may_write_over_its_input(choice, shape, expected):
    assert may_overwrite(choice, shape) == expected
    # The output far below the image: they overlap nowhere, but only some kernels may let them come nearer.
    assert overwrites_safely(choice, shape, 1 << 20, 0) == (expected and choice.kernel is not Kernel.DEPTHWISE)


def test_no_output_pixel_may_end_behind_its_input_pixel():
    shrinks, grows = POINTWISE, Shape((9, 11, 5), (9, 11, 6), POINT, 1, False)

    def nearest(shape: Shape) -> int:
        """The lowest place of the image with the output at 4000."""
        choice = KernelChoice(Kernel.BAND, INDEXED, shape.filters)
        return next(at for at in range(3000, 5000) if overwrites_safely(choice, shape, at, 4000))

    assert nearest(shrinks) == 4000 - 1
    assert nearest(grows) == 4000 + 99
    exact = [
        at
        for at in range(5000)
        if overwrites_safely(KernelChoice(Kernel.DEPTHWISE, INDEXED, 1, 9), DEPTHWISE_SAME, at, 4000)
    ]
    assert exact == [4000]
