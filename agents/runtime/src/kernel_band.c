/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernel that skips zeros, 8 pixels by 1 filter: what it takes and how much scratch it needs, as FORMAT.md says.
 */
#include "check.h"
#include "conv_band.h"
#include "kernel.h"

static int takes(const dcc_operator *operator) { return dcc_encoding_of(operator) != DCC_RAW && dcc_is_plain(operator); }

static uint64_t band_bytes(const dcc_operator *operator) {
    const dcc_band band = dcc_band_of(
        &operator->window, operator->input.channels, dcc_same_size(&operator->input, &operator->output),
        operator->output.width, operator->conv.rows_at_once);
    /* At most 2^24 rows of 2^15 pairs: far beyond any arena wherever the product below would not fit. */
    if ((uint64_t)band.rows * band.pairs > DCC_MAX_BYTES) return UINT64_MAX;
    return (uint64_t)band.rows * band.pairs * band.phases * band.pitch * 4u;
}

static uint64_t scratch(const dcc_operator *operator, const dcc_weight_totals *totals) {
    const uint64_t band = band_bytes(operator);
    const uint64_t filters = operator->conv.filters_at_once;
    if (band > DCC_MAX_BYTES) return band;
    return 8u * filters + 4u * (filters + 1u) + 8u * (uint64_t)totals->entries + band;
}

const dcc_kernel dcc_kernel_band = {takes, scratch, dcc_pixels_follow, dcc_conv_band};
