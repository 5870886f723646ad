/* SPDX-License-Identifier: Apache-2.0
 *
 * The checks of one operator that the loader makes.
 */
#ifndef DCC_CHECK_H
#define DCC_CHECK_H

#include "format.h"

/* record lies inside the artifact and its tensor indices are valid; artifact_bytes and arena_bytes are the header's. */
dcc_status dcc_check_operator(
    const uint8_t *artifact, uint32_t artifact_bytes, uint32_t arena_bytes, const uint8_t *record);

/* The part of dcc_check_operator for convolutions. */
dcc_status dcc_check_conv(
    const uint8_t *artifact, uint32_t artifact_bytes, uint32_t arena_bytes, const dcc_operator *operator,
    const dcc_conv *conv);

/* Whether kernel, stride and dilation are not 0, and the padding that the output asks for behind the image is small. */
int dcc_window_fits(const dcc_window *window, const dcc_operator *operator);

static inline int dcc_shift_valid(uint32_t shift) { return shift >= 1u && shift <= 62u; }

/* Padding behind the image along one axis; negative where windows do not reach its end. Below 2^25, so no overflow. */
static inline int32_t dcc_needed(const dcc_axis *axis, uint32_t input_size, uint32_t output_size) {
    return ((int32_t)output_size - 1) * axis->stride + dcc_extent(axis) - axis->padding - (int32_t)input_size;
}

/* Whether two stretches of the arena share a byte. */
static inline int dcc_overlap(uint32_t a_at, uint32_t a_bytes, uint32_t b_at, uint32_t b_bytes) {
    return a_at < b_at + b_bytes && b_at < a_at + a_bytes; /* all below 2^28: sums do not wrap */
}

static inline int dcc_tensors_overlap(const dcc_tensor *a, const dcc_tensor *b) {
    return dcc_overlap(a->at, dcc_tensor_bytes(a), b->at, dcc_tensor_bytes(b));
}

#endif
