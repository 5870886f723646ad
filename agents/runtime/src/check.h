/* SPDX-License-Identifier: Apache-2.0
 *
 * What the checks of several kinds of operators share. dccdka/packing/checks.py makes the same checks in the same order.
 * All sizes and offsets are below 2^28, so that sums of them fit 32 bits.
 */
#ifndef DCC_CHECK_H
#define DCC_CHECK_H

#include "operators.h"

static inline int dcc_is_16_bits(int32_t value) { return value >= -32768 && value <= 32767; }

int dcc_same_size(const dcc_tensor *a, const dcc_tensor *b);
int dcc_same_shape(const dcc_tensor *a, const dcc_tensor *b);

/* Whether two stretches of the arena share a byte. */
static inline int dcc_overlap(uint32_t a_at, uint32_t a_bytes, uint32_t b_at, uint32_t b_bytes) {
    return a_bytes != 0u && b_bytes != 0u && a_at < b_at + b_bytes && b_at < a_at + a_bytes;
}

int dcc_tensors_overlap(const dcc_tensor *a, const dcc_tensor *b);

/* Whether the output lies exactly on an input of its shape, or apart from it. */
int dcc_apart_or_in_place(const dcc_tensor *input, const dcc_tensor *output);

/* Whether a convolution that takes each input pixel before it writes the output pixel at its place, and all filters at
 * once, writes none that ends behind its input pixel: over what is still to be read. */
int dcc_pixels_follow(const dcc_operator *operator);

/* Whether kernel, stride, padding and dilation are in range, and the padding that the output asks for behind the image is
 * small. */
int dcc_window_fits(const dcc_operator *operator);

/* dcc_window_fits, and every window has a tap inside the image, and the channels are the same. */
int dcc_pool_fits(const dcc_operator *operator);

/* Multipliers and shift of add, concatenate and a residual add. */
int dcc_sum_valid(const dcc_operator *operator);

#endif
