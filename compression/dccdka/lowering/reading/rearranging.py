"""Reads what gives the same values, in another order or shape or as they were."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import fx

from dccdka.lowering.calls import PROBE_IMAGES, Call
from dccdka.lowering.layers import Expanded, Nothing, Rearrange
from dccdka.lowering.reading.call_checks import Readers, refuse


def _rearrange(call: Call, *arguments: Any, **options: Any) -> Rearrange:
    refuse(len(call.inputs) > 1, call, "takes its shape from another tensor; write the sizes")
    (node,) = call.inputs
    elements = math.prod(call.input_shape)
    numbered = torch.arange(PROBE_IMAGES * elements).reshape(PROBE_IMAGES, *call.input_shape)
    mixed = bool((call.run({node: numbered})[0] >= elements).any())
    refuse(mixed, call, "moves values from one image into another; keep the images apart, along the first axis")
    return Rearrange()


def _item(call: Call, x: fx.Node, index: Any) -> Rearrange:
    refuse(
        math.prod(call.shape or ()) != math.prod(call.input_shape),
        call,
        "takes a part of a tensor, which has no integer form; compute the parts by layers of their own",
    )
    return _rearrange(call)


def _expanded(call: Call, *arguments: Any, **options: Any) -> Expanded | Nothing:
    if call.shape == call.input_shape:
        return Nothing()
    return Expanded()


def _converted(call: Call, x: fx.Node, *arguments: Any, **options: Any) -> Nothing:
    given: list[Any] = [*arguments, *options.values()]
    others: list[Any] = [a for a in given if isinstance(a, torch.dtype) and a != torch.float32]
    others += [a for a in given if isinstance(a, str) and a.startswith("torch.") and a != "torch.FloatTensor"]
    refuse(bool(others), call, f"changes the type to {others[:1]}; leave it out, integers are made of float32")
    return Nothing()


def _nothing(call: Call, *arguments: Any, **options: Any) -> Nothing:
    return Nothing()


def _dropout(call: Call, x: fx.Node, p: float = 0.5, training: bool = True, inplace: bool = False) -> Nothing:
    refuse(bool(training), call, "drops values at inference; pass training=self.training")
    return Nothing()


_DROPOUTS = ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout")

MODULES: Readers = {
    **dict.fromkeys(("Flatten", "Unflatten", "ChannelShuffle", "PixelUnshuffle"), _rearrange),
    **dict.fromkeys(("Identity", *_DROPOUTS), _nothing),
}

FUNCTIONS: Readers = {
    **dict.fromkeys(
        (
            *("flatten", "view", "reshape", "squeeze", "unsqueeze", "permute", "transpose", "movedim", "moveaxis"),
            *("swapaxes", "swapdims", "unflatten", "view_as", "reshape_as", "channel_shuffle", "pixel_unshuffle"),
        ),
        _rearrange,
    ),
    "getitem": _item,
    **dict.fromkeys(("expand", "expand_as", "broadcast_to"), _expanded),
    **dict.fromkeys(("to", "type", "type_as"), _converted),
    **dict.fromkeys(("contiguous", "clone", "detach", "float", "positive", "pos"), _nothing),
    **dict.fromkeys(("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"), _dropout),
}
