/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernel for dense weights, 4 pixels by 2 filters: what it takes and how much scratch it needs, as FORMAT.md says.
 */
#include "check.h"
#include "conv.h"
#include "kernel.h"

static int takes(const dcc_operator *operator) {
    const uint32_t filters = operator->conv.filters_at_once;
    return dcc_is_plain(operator) && operator->conv.rows_at_once == 1u &&
           (filters % 2u == 0u || filters == operator->output.channels);
}

static uint64_t scratch(const dcc_operator *operator, const dcc_weight_totals *totals) {
    const uint32_t filters = operator->conv.filters_at_once;
    const uint64_t weights = dcc_raw_filter_weights(operator);
    const uint64_t patch = 8u * filters + 32u + 8u * weights;
    (void)totals;
    return dcc_encoding_of(operator) == DCC_RAW ? patch : patch + weights * dcc_round_up(filters, 2u);
}

const dcc_kernel dcc_kernel_tile = {takes, scratch, dcc_pixels_follow, dcc_conv_tile};
