/* SPDX-License-Identifier: Apache-2.0
 *
 * Conditions that several convolution kernels have. Sizes of scratch that may exceed 32 bits are computed in 64.
 */
#ifndef DCC_KERNEL_H
#define DCC_KERNEL_H

#include "convolution.h"

static inline int dcc_is_dilated(const dcc_window *window) { return window->y.dilation != 1 || window->x.dilation != 1; }

/* Channels mixed, neighbouring taps, an input that is an image. */
static inline int dcc_is_plain(const dcc_operator *operator) {
    return operator->conv.groups == 1u && !dcc_is_dilated(&operator->window) &&
           (operator->kind_byte & DCC_FLATTEN) == 0u;
}

static inline int dcc_one_at_once(const dcc_operator *operator) {
    return operator->conv.filters_at_once == 1u && operator->conv.rows_at_once == 1u;
}

#endif
