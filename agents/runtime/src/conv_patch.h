/* SPDX-License-Identifier: Apache-2.0
 *
 * What tiles of 4 output pixels see, gathered from the input image once for all filters.
 *
 * A patch begins with what the sums start from: the zero point's share -z sum(x) for the 4 pixels' even filters, and
 * (128 - z) sum(x) for their odd ones, whose codes are stored less 128. Behind it lie the pixels' inputs, kernel row by
 * kernel row as in a RAW filter, widened to 16 bits, 4 inputs of 4 pixels after the other. How these 32 bytes lie is
 * conv_patch_plain.h's or conv_patch_dsp.h's business.
 */
#ifndef DCC_CONV_PATCH_H
#define DCC_CONV_PATCH_H

#include "conv.h"
#include "dsp.h"
#include "neon.h"

#define DCC_TILE_PIXELS 4u
#define DCC_PATCH_START 8u /* words before the first group */
#define DCC_GROUP_WORDS 8u /* 4 inputs of 4 pixels */

typedef struct {
    uint32_t *words;
    uint32_t inputs; /* K of FORMAT.md: 4 n */
} dcc_patch;

#if DCC_DSP
/* Pixels whose taps all lie inside the image, for the code that copies them, in the order in which it takes it up. */
typedef struct {
    uint32_t step;       /* bytes from pixel to pixel */
    uint32_t even;       /* what a sum of inputs is multiplied by */
    uint32_t both;
    uint32_t *end;       /* `to` of the pixel behind the last */
    uint32_t last_shift; /* of a word, to get at the last 1 to 3 inputs of a kernel row; 0 if there are none */
    int32_t last_at;     /* where that word lies, from the end of the whole groups */
    uint32_t rows_at;    /* bytes from `to` to where the first kernel row is copied */
    int32_t sum;         /* of the inputs of other rows */
    uint32_t skipped;    /* bytes of code in the first round of a kernel row */
    uint32_t row_bytes;  /* of whole groups */
    uint32_t gap;        /* from their end to the next kernel row's beginning */
    const int8_t *from;
    uint32_t *to;        /* where the first pixel's sum starts */
    uint32_t rows;
} dcc_inner;
#endif

/* Gathers one tile after the other. */
typedef struct {
    const dcc_conv_job *job;
    dcc_patch patch;
    uint32_t row_bytes;    /* of a kernel row */
    uint32_t line_bytes;   /* of an input row */
    uint32_t step;         /* bytes from a pixel's first tap to the next one's */
    int32_t input_height;  /* these three are of one long row where each pixel sees itself alone */
    int32_t input_width;
    uint32_t output_width;
    uint32_t column;       /* of the output, where the next tile begins */
    int32_t line;          /* of the input, where its first tap lies */
    int32_t across;        /* the same, the column */
    uint32_t from;         /* the same, in bytes from the first pixel, modulo 2^32 */
#if DCC_DSP
    int shared;            /* whether neighbouring pixels may share columns of the image */
    dcc_inner inner;
#endif
} dcc_filler;

/* words: where the patch is to lie, 4-byte aligned. */
dcc_filler dcc_filler_of(const dcc_conv_job *job, uint32_t *words);

/* Goes to the first tile. */
void dcc_fill_from_start(dcc_filler *filler);

/* The patch of the next 1 to 4 pixels, row after row; what it holds for more means nothing. */
void dcc_fill_next(dcc_filler *filler, uint32_t pixels);

#endif
