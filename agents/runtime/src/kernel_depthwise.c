/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernel for depthwise convolutions: what it takes and how much scratch it needs, as FORMAT.md says.
 */
#include "conv.h"
#include "kernel.h"

static int takes(const dcc_operator *operator) {
    return dcc_encoding_of(operator) != DCC_RAW && operator->conv.groups == operator->input.channels &&
           operator->conv.groups == operator->output.channels && !dcc_is_dilated(&operator->window) &&
           dcc_one_at_once(operator);
}

static uint64_t scratch(const dcc_operator *operator, const dcc_weight_totals *totals) {
    const uint32_t width = operator->output.width > 4u ? operator->output.width : 4u;
    const uint32_t stride = (uint32_t)operator->window.x.stride;
    const uint32_t rows = (uint32_t)operator->window.y.kernel;
    const uint32_t columns = (uint32_t)operator->window.x.kernel;
    const uint64_t pitch = dcc_round_up((width - 1u) * stride + columns, 2u) + 2u;
    (void)totals;
    return 2u * pitch * rows + 2u * rows * dcc_round_up(columns, 2u);
}

const dcc_kernel dcc_kernel_depthwise = {takes, scratch, dcc_conv_depthwise};
