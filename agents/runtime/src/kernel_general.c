/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernel for any convolution: what it takes and how much scratch it needs, as FORMAT.md says.
 */
#include "conv.h"
#include "kernel.h"

static int takes(const dcc_operator *operator) {
    const uint64_t last_column = (uint64_t)(dcc_extent(&operator->window.x) - 1) * operator->input.channels;
    return dcc_encoding_of(operator) != DCC_RAW && dcc_one_at_once(operator) &&
           last_column + dcc_group_channels(operator) <= 65536u;
}

static uint64_t scratch(const dcc_operator *operator, const dcc_weight_totals *totals) {
    if (operator->output.height == 1u && operator->output.width == 1u) return 0u; /* multiplied as they are decoded */
    return dcc_round_up(2u * (dcc_taps(operator) + 1u), 4u) + 4u * totals->nonzeros;
}

const dcc_kernel dcc_kernel_general = {takes, scratch, NULL, dcc_conv_general};
