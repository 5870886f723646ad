"""What has no integer form, and what to use instead; by the name of a module's class or of a function."""

from __future__ import annotations

_NORMS = ("LayerNorm", "GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "layer_norm", "group_norm", "instance_norm")
_PARTS = ("chunk", "split", "tensor_split", "unbind", "split_with_sizes")
_LARGER = ("ConvTranspose1d", "ConvTranspose2d", "Upsample", "PixelShuffle", "interpolate", "pixel_shuffle")
_PRODUCTS = ("matmul", "bmm", "mm", "einsum", "addmm")
_EXTREMES = ("max", "min", "maximum", "minimum", "amin", "where")
INSTEAD = {
    **dict.fromkeys(
        ("LogSoftmax", "log_softmax"),
        "leave it out, as the largest logit stays the largest, and put it into the loss (cross_entropy)",
    ),
    **dict.fromkeys(_NORMS, "its statistics depend on the image; use BatchNorm2d or BatchNorm1d"),
    **dict.fromkeys(_PARTS, "compute the parts by layers of their own"),
    **dict.fromkeys(_LARGER, "images only keep their size or become smaller; use strides and pools"),
    **dict.fromkeys(_PRODUCTS, "use the modules nn.Conv2d, nn.Conv1d or nn.Linear, whose weights are compressed"),
    **dict.fromkeys(
        _EXTREMES,
        "use amax or a max pool over height and width; of two tensors, b + relu(a - b) is the larger one",
    ),
    **dict.fromkeys(
        ("repeat", "tile"), "join copies along the channels, torch.cat((x, x), 1); products repeat by themselves"
    ),
    "stack": "join along the channels with torch.cat",
    "normalize": "its divisor depends on the image; use BatchNorm2d or BatchNorm1d",
    **dict.fromkeys(
        ("LSTM", "GRU", "RNN", "MultiheadAttention", "scaled_dot_product_attention"),
        "use convolutions or linear layers",
    ),
}
