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

/* Whether two stretches of the arena share a byte. */
static inline int dcc_overlap(uint32_t a_at, uint32_t a_bytes, uint32_t b_at, uint32_t b_bytes) {
    return a_at < b_at + b_bytes && b_at < a_at + a_bytes; /* all below 2^28: sums do not wrap */
}

static inline int dcc_tensors_overlap(const dcc_tensor *a, const dcc_tensor *b) {
    return dcc_overlap(a->at, dcc_tensor_bytes(a), b->at, dcc_tensor_bytes(b));
}

#endif
