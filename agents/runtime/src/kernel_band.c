/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernel that skips zeros, 8 pixels by 1 filter: what it takes and how much scratch it needs, as FORMAT.md says.
 */
#include "conv.h"
#include "kernel.h"

static int takes(const dcc_operator *operator) { return dcc_encoding_of(operator) != DCC_RAW && dcc_is_plain(operator); }

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
    /* At most 2^24 rows of 2^15 pairs: far beyond any arena wherever the product below would not fit. */
    if (rows * pairs > DCC_MAX_BYTES) return UINT64_MAX;
    return rows * pairs * (uint32_t)(x->stride < x->kernel ? x->stride : x->kernel) * pitch * 4u;
}

static uint64_t scratch(const dcc_operator *operator, const dcc_weight_totals *totals) {
    const uint64_t band = band_bytes(operator);
    const uint64_t filters = operator->conv.filters_at_once;
    if (band > DCC_MAX_BYTES) return band;
    return 8u * filters + 4u * (filters + 1u) + 8u * (uint64_t)totals->entries + band;
}

const dcc_kernel dcc_kernel_band = {takes, scratch, dcc_conv_band};
