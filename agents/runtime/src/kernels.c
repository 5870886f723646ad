/* SPDX-License-Identifier: Apache-2.0
 *
 * Which convolutions each kernel takes, and how much scratch it needs: the table of FORMAT.md. Sizes that may exceed 32
 * bits are computed in 64.
 */
#include "conv.h"
#include "convolution.h"

static int is_dilated(const dcc_window *window) { return window->y.dilation != 1 || window->x.dilation != 1; }

/* Channels mixed, neighbouring taps, an input that is an image. */
static int is_plain(const dcc_operator *operator) {
    return operator->conv.groups == 1u && !is_dilated(&operator->window) &&
           (operator->kind_byte & DCC_FLATTEN) == 0u;
}

static int one_at_once(const dcc_operator *operator) {
    return operator->conv.filters_at_once == 1u && operator->conv.rows_at_once == 1u;
}

static int general_takes(const dcc_operator *operator) {
    const uint64_t last_column = (uint64_t)(dcc_extent(&operator->window.x) - 1) * operator->input.channels;
    return dcc_encoding_of(operator) != DCC_RAW && one_at_once(operator) &&
           last_column + dcc_group_channels(operator) <= 65536u;
}

static uint64_t general_scratch(const dcc_operator *operator, const dcc_weight_totals *totals) {
    return dcc_round_up(2u * (dcc_taps(operator) + 1u), 4u) + 4u * totals->nonzeros;
}

static int tile_takes(const dcc_operator *operator) {
    const uint32_t filters = operator->conv.filters_at_once;
    return is_plain(operator) && operator->conv.rows_at_once == 1u &&
           (filters % 2u == 0u || filters == operator->output.channels);
}

static uint64_t tile_scratch(const dcc_operator *operator, const dcc_weight_totals *totals) {
    const uint32_t filters = operator->conv.filters_at_once;
    const uint64_t weights = dcc_raw_filter_weights(operator);
    const uint64_t patch = 8u * filters + 8u * weights;
    (void)totals;
    return dcc_encoding_of(operator) == DCC_RAW ? patch : patch + weights * dcc_round_up(filters, 2u);
}

static int band_takes(const dcc_operator *operator) { return dcc_encoding_of(operator) != DCC_RAW && is_plain(operator); }

/* Whether all rows of input and output can be read as one. */
static int is_pointwise(const dcc_operator *operator) {
    const dcc_window *window = &operator->window;
    return dcc_taps(operator) == 1u && window->y.stride == 1 && window->x.stride == 1 && window->y.padding == 0 &&
           window->x.padding == 0 && operator->input.height == operator->output.height &&
           operator->input.width == operator->output.width;
}

static uint64_t band_bytes(const dcc_operator *operator) {
    const dcc_axis *y = &operator->window.y;
    const dcc_axis *x = &operator->window.x;
    const uint32_t pairs = dcc_round_up(operator->input.channels, 4u) / 2u;
    uint64_t rows = (uint64_t)(operator->conv.rows_at_once - 1u) * (uint32_t)y->stride + (uint32_t)y->kernel;
    uint64_t pitch = operator->output.width;
    if (is_pointwise(operator)) {
        rows = 1u;
        pitch *= operator->conv.rows_at_once;
    }
    if (pitch < 8u) pitch = 8u;
    pitch += (uint32_t)((x->kernel - 1) / x->stride);
    /* At most 2^24 rows, 2^15 pairs, 2^8 phases and, where there is more than one row, 2^17 words: the first two
     * factors alone are far beyond any arena where the product would not fit. */
    if (rows * pairs > DCC_MAX_BYTES) return UINT64_MAX;
    return rows * pairs * (uint32_t)(x->stride < x->kernel ? x->stride : x->kernel) * pitch * 4u;
}

static uint64_t band_scratch(const dcc_operator *operator, const dcc_weight_totals *totals) {
    const uint64_t band = band_bytes(operator);
    const uint64_t filters = operator->conv.filters_at_once;
    if (band > DCC_MAX_BYTES) return band;
    return 8u * filters + 4u * (filters + 1u) + 8u * (uint64_t)totals->entries + band;
}

static int depthwise_takes(const dcc_operator *operator) {
    return dcc_encoding_of(operator) != DCC_RAW && operator->conv.groups == operator->input.channels &&
           operator->conv.groups == operator->output.channels && !is_dilated(&operator->window) &&
           one_at_once(operator);
}

static uint64_t depthwise_scratch(const dcc_operator *operator, const dcc_weight_totals *totals) {
    const uint32_t width = operator->output.width > 4u ? operator->output.width : 4u;
    const uint32_t stride = (uint32_t)operator->window.x.stride;
    const uint32_t rows = (uint32_t)operator->window.y.kernel;
    const uint32_t columns = (uint32_t)operator->window.x.kernel;
    const uint64_t pitch = dcc_round_up((width - 1u) * stride + columns, 2u) + 2u;
    (void)totals;
    return 2u * pitch * rows + 2u * rows * dcc_round_up(columns, 2u);
}

static int vector_takes(const dcc_operator *operator) {
    const dcc_axis *y = &operator->window.y;
    const dcc_axis *x = &operator->window.x;
    return dcc_encoding_of(operator) == DCC_RAW && operator->conv.groups == 1u && !is_dilated(&operator->window) &&
           operator->output.height == 1u && operator->output.width == 1u &&
           (uint32_t)y->kernel == operator->input.height && (uint32_t)x->kernel == operator->input.width &&
           y->padding == 0 && x->padding == 0 && one_at_once(operator);
}

static uint64_t no_scratch(const dcc_operator *operator, const dcc_weight_totals *totals) {
    (void)operator;
    (void)totals;
    return 0u;
}

const dcc_kernel dcc_kernel_general = {general_takes, general_scratch, dcc_conv_general};
const dcc_kernel dcc_kernel_tile = {tile_takes, tile_scratch, dcc_conv_tile};
const dcc_kernel dcc_kernel_band = {band_takes, band_scratch, dcc_conv_band};
const dcc_kernel dcc_kernel_depthwise = {depthwise_takes, depthwise_scratch, dcc_conv_depthwise};
const dcc_kernel dcc_kernel_vector = {vector_takes, no_scratch, dcc_conv_vector};
