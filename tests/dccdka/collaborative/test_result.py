"""What compression results in, as it is shown."""

from __future__ import annotations

from dccdka.collaborative import post_training
from dccdka.recipe import Recipe

from .compressing import network


def test_a_result_is_shown_in_short() -> None:
    compressed = post_training(network(), Recipe(4, 0.5, None, 8))
    zeros = sum(int((codes.codes == codes.zero_point).sum()) for codes in compressed.layers.values())
    assert repr(compressed) == f"CompressedModel(Sequential, 4 layers, 589 weights, {zeros} of them zero, 0 notes)"
    codes = compressed.layers["1"]
    expected = f"LayerCodes(uint8 [6, 1, 3, 3], zero_point={codes.zero_point}, scale={codes.scale:g})"
    assert repr(codes) == expected
