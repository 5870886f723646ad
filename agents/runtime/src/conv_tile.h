/* SPDX-License-Identifier: Apache-2.0
 *
 * What a convolution in tiles works on: 4 output pixels x 2 filters at once, over a patch of the pixels' inputs.
 *
 * Codes stay as they lie in the artifact. A half of a RAW word is 256 a + u, with u = code of the even filter and
 * a = code - 128 of the odd one, so one multiplication of two halves sums both filters, and one of the low bytes alone
 * sums u; what the odd filter has is (both - u) >> 8. It fits 24 bits, since a filter's |weight| sum up to less than
 * 2^16. The zero point's share, -z sum(x) or (128 - z) sum(x), is what the sums start from.
 *
 * A patch: 4 starting sums of the even and 4 of the odd filters, then for each 4 inputs of a kernel row the pixels'
 * inputs 0 and 2, then 1 and 3, as int16. How they lie is conv_tile_plain.h's or conv_tile_dsp.h's business; both take
 * 16 bytes for 2 inputs of 4 pixels.
 */
#ifndef DCC_CONV_TILE_H
#define DCC_CONV_TILE_H

#include "conv.h"
#include "dsp.h"

#define DCC_TILE_PIXELS 4u
#define DCC_PATCH_START 8u /* words before the first group */
#define DCC_GROUP_WORDS 8u /* 4 inputs of 4 pixels */

typedef struct {
    uint32_t *words;
    uint32_t inputs; /* K of FORMAT.md: 4 n */
} dcc_patch;

/* Filters that are worked on together; all pairs of them but the last are whole. */
typedef struct {
    uint32_t first;
    uint32_t count;
    dcc_channel *channels;
    const uint8_t *codes;
} dcc_filters;

#if DCC_DSP
#include "conv_tile_dsp.h"
#else
#include "conv_tile_plain.h"
#endif

#endif
