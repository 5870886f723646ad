"""The record of a convolution, behind its clamp: read whole, then checked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dccdka.lowering.graph import Convolution, Requantisation, Residual, Scaling, Window
from dccdka.packing import layout
from dccdka.packing.artifact import ArtifactError, ArtifactStatus, PlacedTensor, Region, StoredConvolution
from dccdka.packing.channels import WIDE_BYTE, channels_bytes, decode_channels, narrow_form_of_byte
from dccdka.packing.checks import check_geometry, check_places, check_residual, check_shift, require
from dccdka.packing.choice import Encoding, Kernel, KernelChoice
from dccdka.packing.encoding import Form, StreamError, decode, table_bytes
from dccdka.packing.encoding.counting import band_entries, magnitudes, nonzeros_by_filter
from dccdka.packing.fields import FieldReader
from dccdka.packing.kernels import MAX_MAGNITUDE, NARROW_SUMS, Shape, overwrites_safely, refusal, scratch_bytes
from dccdka.packing.layout import ALIGNMENT, up
from dccdka.packing.scaling_field import read_scaling
from dccdka.packing.window_fields import read_window

_S = ArtifactStatus


@dataclass(frozen=True)
class ConvolutionRecord:
    """Fields as they are stored, unchecked; data begin at data_at, weight_form is 0 where RAW has none."""

    flatten: bool
    window: Window
    groups: int
    kernel_byte: int
    filters_at_once: int
    rows_at_once: int
    scratch_at: int
    residual: Residual | None
    scaling: Scaling
    form_byte: int
    bias_shift: int
    weight_zero_point: int
    weight_form: int
    padding: bytes
    data_at: int
    data: bytes

    @property
    def more_tensors(self) -> tuple[int, ...]:
        """Besides input and output."""
        return () if self.residual is None else (self.residual.tensor,)


def read_convolution(fields: FieldReader, flags: int) -> ConvolutionRecord:
    window = read_window(fields, dilated=True)
    groups, kernel_byte = fields.u(), fields.u8()
    at_once = fields.u(), fields.u(), fields.u()
    residual = None
    if flags & layout.RESIDUAL:
        residual = Residual(
            fields.u(), fields.s(), fields.s(), fields.s(), fields.u8(), low=fields.i8(), high=fields.i8()
        )
    scaling = read_scaling(fields)
    form_byte = fields.u8()
    bias_shift = fields.u8() if form_byte < WIDE_BYTE else 0
    weight_zero_point = fields.u8()
    is_raw = _encoding(kernel_byte) is Encoding.RAW
    weight_form = 0 if is_raw else fields.u8()
    data_bytes = fields.u()
    aligned = is_raw or form_byte >= WIDE_BYTE
    padding = fields.take(-fields.at % ALIGNMENT) if aligned else b""
    data_at = fields.at
    data = fields.take(data_bytes)
    return ConvolutionRecord(
        bool(flags & layout.FLATTEN), window, groups, kernel_byte, *at_once, residual, scaling, form_byte, bias_shift,
        weight_zero_point, weight_form, padding, data_at, data,
    )  # fmt: skip


def check_convolution(
    name: str,
    record: ConvolutionRecord,
    places: tuple[int, int],
    clamp: tuple[int, int],
    arena_bytes: int,
    tensors: tuple[PlacedTensor, ...],
) -> tuple[Convolution, StoredConvolution]:
    x, y = (tensors[i] for i in places)
    residual = None if record.residual is None else tensors[record.residual.tensor]
    shape = _checked_shape(name, record, x, y, residual)
    if record.residual is not None:
        check_residual(name, record.residual)
    check_shift(name, record.bias_shift)
    require(record.form_byte <= WIDE_BYTE, _S.REQUANTISATION, f"{name}: its channels have a form that is unknown")
    kernel_number = record.kernel_byte & 7
    require(kernel_number < len(Kernel), _S.OPERATOR, f"{name}: kernel {kernel_number} is unknown")
    known = record.kernel_byte & ~0x37 == 0
    require(known, _S.ENCODING, f"{name}: kernel and encoding {record.kernel_byte:#04x} are unknown")
    choice = KernelChoice(
        Kernel(kernel_number),
        _encoding(record.kernel_byte),
        record.filters_at_once,
        record.rows_at_once,
        wide=record.form_byte == WIDE_BYTE,
    )
    form = _checked_weight_form(name, choice.encoding, record.weight_form)
    why = refusal(choice, shape)
    require(why is None, _S.SHAPE, f"{name}: {why}")
    require(not any(record.padding), _S.ENCODING, f"{name}: what aligns its data is not zero")
    few = shape.weights <= layout.MAX_WEIGHTS
    require(few, _S.ENCODING, f"{name}: {shape.weights} weights are more than the format's {layout.MAX_WEIGHTS}")
    narrow = None if record.form_byte == WIDE_BYTE else narrow_form_of_byte(record.form_byte, record.bias_shift)
    channel_bytes = channels_bytes(narrow, shape.filters)
    weights_at = up(channel_bytes, ALIGNMENT) if choice.encoding is Encoding.RAW else channel_bytes
    require(weights_at <= len(record.data), _S.ENCODING, f"{name}: its data end inside its channels")
    try:
        stream = np.frombuffer(record.data, np.uint8)[weights_at:]
        codes = decode(stream, form, record.weight_zero_point, shape.codes)
    except StreamError as error:
        raise ArtifactError(_S.ENCODING, f"{name}: {error}") from None
    if choice.kernel in NARROW_SUMS:
        magnitude = int(magnitudes(codes, record.weight_zero_point).max())
        require(magnitude <= MAX_MAGNITUDE, _S.ENCODING, f"{name}: its weights are too large for {choice.kernel.name}")
    nonzeros = nonzeros_by_filter(codes, record.weight_zero_point)
    entries = band_entries(codes, record.weight_zero_point)
    scratch = Region(4 * record.scratch_at, scratch_bytes(choice, shape, nonzeros, entries))
    over_input = overwrites_safely(choice, shape, x.offset, y.offset)
    check_places(name, arena_bytes, scratch, x, y, residual, over_input=over_input)
    requantisation: Requantisation = decode_channels(
        record.data[:channel_bytes], narrow, shape.filters, y.zero_point, record.scaling
    )
    operator = Convolution(
        input=places[0],
        output=places[1],
        window=record.window,
        groups=record.groups,
        flatten_input=record.flatten,
        codes=codes,
        weight_zero_point=record.weight_zero_point,
        requantisation=requantisation,
        low=clamp[0],
        high=clamp[1],
        residual=record.residual,
    )
    tables = table_bytes(stream, form)
    stored = StoredConvolution(
        choice=choice,
        scratch=scratch,
        channel_bytes=channel_bytes,
        table_bytes=tables,
        stream_bytes=len(stream) - tables,
        padding_bytes=len(record.padding) + weights_at - channel_bytes,
    )
    return operator, stored


def _encoding(kernel_byte: int) -> Encoding:
    return Encoding(kernel_byte >> 4 & 3)


def _checked_shape(
    name: str, record: ConvolutionRecord, x: PlacedTensor, y: PlacedTensor, residual: PlacedTensor | None
) -> Shape:
    image = PlacedTensor(x.offset, 1, 1, x.region.bytes, x.zero_point) if record.flatten else x
    check_geometry(name, record.window, image, y, record.groups)
    require(residual is None or residual.shape == y.shape, _S.SHAPE, f"{name}: its residual has not its output's shape")
    shape = Shape(image.shape, y.shape, record.window, record.groups, record.flatten)
    require(
        shape.filter_weights <= layout.MAX_FILTER_WEIGHTS,
        _S.SHAPE,
        f"{name}: a filter of {shape.filter_weights} weights is too large",
    )
    return shape


def _checked_weight_form(name: str, encoding: Encoding, byte: int) -> Form:
    if encoding is Encoding.RAW:
        return Form(encoding)
    form = Form(encoding, byte & 15, byte >> 4)
    require(
        form.is_possible,
        _S.ENCODING,
        f"{name}: {form.bits} bits of an index and {form.gap_bits} of a gap are impossible",
    )
    return form
