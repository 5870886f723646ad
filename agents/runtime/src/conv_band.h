/* SPDX-License-Identifier: Apache-2.0
 *
 * BAND: what its parts share. FORMAT.md gives the scratch.
 *
 * A band is what some output rows need of the input, widened to 16 bits: a word holds two channels of one pixel, and
 * the pixels of one row, pair of channels and phase (input column modulo stride) are neighbours, so that 8 output
 * pixels read 8 words in a row for any tap. An entry is a pair of weights and where its words lie.
 */
#ifndef DCC_CONV_BAND_H
#define DCC_CONV_BAND_H

#include "conv.h"
#include "windows.h"

#define DCC_BAND_PIXELS 8u

typedef struct {
    uint32_t weights; /* the lower channel's in the low half */
    int32_t delta;    /* bytes from behind the 8 words of the entry before, or from the tile's origin if there is none */
} dcc_band_entry;

/* Entries that are being written. */
typedef struct {
    dcc_band_entry *next;
    int32_t before; /* bytes from a tile's origin to behind the words of the last entry */
} dcc_band_list;

typedef struct {
    uint32_t rows;   /* of the input */
    uint32_t pairs;  /* words of a pixel */
    uint32_t phases;
    uint32_t pitch;  /* words of a row, pair and phase */
    int point;       /* each pixel sees itself alone: all rows are one */
} dcc_band;

/* same_size: whether input and output are as high and as wide as each other; width: of the output. */
static inline dcc_band dcc_band_of(
    const dcc_window *window, uint32_t channels, int same_size, uint32_t width, uint32_t rows_at_once) {
    const dcc_axis *const y = &window->y;
    const uint32_t kernel = (uint32_t)window->x.kernel;
    const uint32_t stride = (uint32_t)window->x.stride;
    dcc_band band;
    band.point = same_size && dcc_is_point(window);
    if (band.point) width *= rows_at_once;
    band.rows = band.point ? 1u : (rows_at_once - 1u) * (uint32_t)y->stride + (uint32_t)y->kernel;
    band.pairs = (channels + 3u) / 4u * 2u;
    band.phases = stride < kernel ? stride : kernel;
    band.pitch = (width < DCC_BAND_PIXELS ? DCC_BAND_PIXELS : width) + (kernel - 1u) / stride;
    return band;
}

/* Of one input row, which is all of them where they are one. */
static inline uint32_t dcc_band_row_words(const dcc_band *band) { return band->pairs * band->phases * band->pitch; }

/* Adds up 8 neighbouring output pixels of one filter. origin: the word of the first pixel's first tap. */
static inline void dcc_band_sums(
    const dcc_band_entry *entry, const dcc_band_entry *end, const uint32_t *origin, int32_t sums[DCC_BAND_PIXELS]) {
    uint32_t i;
    for (i = 0u; i < DCC_BAND_PIXELS; i++) sums[i] = 0;
    for (; entry < end; entry++) {
        const int32_t low = (int16_t)(entry->weights & 0xffffu);
        const int32_t high = (int16_t)(entry->weights >> 16);
        origin += entry->delta / 4;
        for (i = 0u; i < DCC_BAND_PIXELS; i++) {
            const uint32_t x = *origin++;
            const int32_t sum = (int16_t)(x & 0xffffu) * low + (int16_t)(x >> 16) * high;
            sums[i] = (int32_t)((uint32_t)sums[i] + (uint32_t)sum);
        }
    }
}

#endif
