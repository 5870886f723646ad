/* SPDX-License-Identifier: Apache-2.0
 *
 * DEPTHWISE: how a band of 4 channels lies in the scratch. FORMAT.md gives the sizes.
 *
 * Each channel has a plane of 16-bit values, row after row. The first image column of a row lies at an even value, so
 * that pixels can be stored in pairs; the padding between two rows serves both. Outputs are computed in tiles of 8
 * neighbours: of one row, or of all rows joined where that takes fewer tiles. A joined row has positions that are no
 * outputs; what is computed there goes to a sink.
 */
#ifndef DCC_CONV_DEPTHWISE_H
#define DCC_CONV_DEPTHWISE_H

#include "conv.h"

#define DCC_DEPTHWISE_CHANNELS 4u
#define DCC_DEPTHWISE_OUTPUTS 8u

typedef struct {
    uint32_t x;                             /* bytes from the plane to the tile's first word, and 4 */
    uint32_t y[DCC_DEPTHWISE_OUTPUTS];      /* bytes from the band's first output to each */
} dcc_depthwise_tile;

typedef struct {
    uint32_t margin;  /* values from a row's start to the first image column, even */
    uint32_t columns; /* of the image that are read */
    uint32_t pitch;   /* values from row to row, even */
    int joined;
} dcc_depthwise_rows;

static inline uint32_t dcc_depthwise_even(uint32_t n) { return (n + 1u) & ~1u; }

static inline dcc_depthwise_rows dcc_depthwise_rows_of(
    const dcc_window *window, uint32_t input_width, uint32_t output_width) {
    const uint32_t padding = (uint32_t)window->x.padding;
    const uint32_t stride = (uint32_t)window->x.stride;
    const uint32_t reach = (output_width - 1u) * stride + (uint32_t)window->x.kernel;
    const uint32_t beyond = reach > padding ? reach - padding : 0u;
    dcc_depthwise_rows rows;
    rows.margin = dcc_depthwise_even(padding);
    rows.columns = beyond < input_width ? beyond : input_width;
    rows.pitch = rows.columns + padding;
    if (rows.pitch < beyond) rows.pitch = beyond;
    if (rows.pitch < output_width) rows.pitch = output_width;
    rows.pitch = dcc_depthwise_even(rows.pitch);
    rows.joined = stride == 1u && window->y.stride == 1 && output_width % DCC_DEPTHWISE_OUTPUTS != 0u;
    return rows;
}

/* Values of one channel's plane, for so many rows of the output. */
static inline uint64_t dcc_depthwise_plane(
    const dcc_depthwise_rows *rows, const dcc_window *window, uint32_t output_rows) {
    const uint64_t high = (uint64_t)(output_rows - 1u) * (uint32_t)window->y.stride + (uint32_t)window->y.kernel;
    return rows->margin + high * rows->pitch + DCC_DEPTHWISE_OUTPUTS * (uint32_t)window->x.stride;
}

static inline uint64_t dcc_depthwise_tiles(
    const dcc_depthwise_rows *rows, uint32_t output_width, uint32_t output_rows) {
    const uint32_t ups = DCC_DEPTHWISE_OUTPUTS - 1u;
    if (rows->joined) {
        return ((uint64_t)(output_rows - 1u) * rows->pitch + output_width + ups) / DCC_DEPTHWISE_OUTPUTS;
    }
    return (uint64_t)output_rows * ((output_width + ups) / DCC_DEPTHWISE_OUTPUTS);
}

#endif
