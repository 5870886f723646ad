/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernel for depthwise convolutions: what it takes and how much scratch it needs, as FORMAT.md says.
 */
#include "check.h"
#include "conv_depthwise.h"
#include "kernel.h"

static int takes(const dcc_operator *operator) {
    return dcc_encoding_of(operator) != DCC_RAW && operator->conv.groups == operator->input.channels &&
           operator->conv.groups == operator->output.channels && !dcc_is_dilated(&operator->window) &&
           operator->conv.filters_at_once == 1u;
}

static uint64_t scratch(const dcc_operator *operator, const dcc_weight_totals *totals) {
    const uint32_t width = operator->output.width;
    const uint32_t rows_at_once = operator->conv.rows_at_once;
    const dcc_depthwise_rows rows = dcc_depthwise_rows_of(&operator->window, operator->input.width, width);
    (void)totals;
    return 8u * dcc_depthwise_plane(&rows, &operator->window, rows_at_once) + 8u * dcc_taps(operator) +
           sizeof(dcc_depthwise_tile) * dcc_depthwise_tiles(&rows, width, rows_at_once) + 4u +
           dcc_round_up(operator->input.channels, 4u);
}

/* All rows of 4 channels are widened before these channels are written. */
static int overwrites(const dcc_operator *operator) {
    return operator->conv.rows_at_once == operator->output.height && operator->input.at == operator->output.at &&
           dcc_same_shape(&operator->input, &operator->output);
}

const dcc_kernel dcc_kernel_depthwise = {takes, scratch, overwrites, dcc_conv_depthwise};
