/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernel for outputs of one pixel: what it takes and how much scratch it needs, as FORMAT.md says.
 */
#include "conv.h"
#include "kernel.h"

static int takes(const dcc_operator *operator) {
    const dcc_axis *y = &operator->window.y;
    const dcc_axis *x = &operator->window.x;
    return dcc_encoding_of(operator) == DCC_RAW && operator->conv.groups == 1u && !dcc_is_dilated(&operator->window) &&
           operator->output.height == 1u && operator->output.width == 1u &&
           (uint32_t)y->kernel == operator->input.height && (uint32_t)x->kernel == operator->input.width &&
           y->padding == 0 && x->padding == 0 && dcc_one_at_once(operator);
}

static uint64_t scratch(const dcc_operator *operator, const dcc_weight_totals *totals) {
    (void)operator;
    (void)totals;
    return 0u;
}

const dcc_kernel dcc_kernel_vector = {takes, scratch, NULL, dcc_conv_vector};
