/* SPDX-License-Identifier: Apache-2.0
 *
 * What a convolution in tiles works on: 4 output pixels x 2 filters at once.
 *
 * Codes stay as they lie in the artifact. A half of a RAW word is 256 a + u, with u = code of the even filter and
 * a = code - 128 of the odd one, so one multiplication of two halves sums both filters, and one of the low bytes alone
 * sums u; what the odd filter has is (both - u) >> 8. It fits 24 bits, since a filter's |weight| sum up to less than
 * 2^16. The zero point has gone into what the sums start from; see conv_patch.h.
 */
#ifndef DCC_CONV_TILE_H
#define DCC_CONV_TILE_H

#include "conv_patch.h"

/* Filters that are worked on together; all pairs of them but the last are whole. */
typedef struct {
    uint32_t first;
    uint32_t count;
    dcc_channel *channels;
    const uint8_t *codes;
} dcc_filters;

#if DCC_NEON
#include "conv_tile_neon.h"
#elif DCC_DSP
#include "conv_tile_dsp.h"
#else
#include "conv_tile_plain.h"
#endif

#endif
