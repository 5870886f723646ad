/* SPDX-License-Identifier: Apache-2.0
 *
 * Max pool; padding is never chosen. Input and output share scale and zero point.
 */
#include "check.h"
#include "record.h"
#include "windows.h"

static void read(dcc_operator *operator, dcc_cursor *cursor) {
    dcc_read_window(&operator->window, cursor, DCC_POOL_WINDOW);
}

static dcc_status check(dcc_operator *operator, const dcc_model *model) {
    (void)model;
    if (!dcc_pool_fits(operator)) return DCC_ERROR_SHAPE;
    return dcc_tensors_overlap(&operator->input, &operator->output) ? DCC_ERROR_ARENA_RANGE : DCC_OK;
}

/* Of one channel over so many rows and columns; steps are from row to row and from column to column. */
static int8_t largest(const int8_t *row, int32_t rows, int32_t columns, uint32_t row_step, uint32_t column_step) {
    int32_t best = INT8_MIN;
    for (; rows > 0; rows--) {
        const int8_t *x = row;
        int32_t column;
        for (column = columns; column > 0; column--) {
            if (*x > best) best = *x;
            x += column_step;
        }
        row += row_step;
    }
    return (int8_t)best;
}

static void run(const dcc_operator *operator, const dcc_model *model, uint8_t *arena) {
    const dcc_tensor *input = &operator->input;
    const dcc_tensor *output = &operator->output;
    const uint32_t channels = input->channels;
    const uint32_t row_bytes = input->width * channels;
    int8_t *next = dcc_output(output, arena);
    uint32_t row;
    (void)model;
    for (row = 0u; row < output->height; row++) {
        const dcc_span y = dcc_clip(row, &operator->window.y, 1, input->height);
        const int8_t *image_row = dcc_input(input, arena) + (uint32_t)(y.origin + y.first) * row_bytes;
        uint32_t column;
        for (column = 0u; column < output->width; column++) {
            const dcc_span x = dcc_clip(column, &operator->window.x, 1, input->width);
            const int8_t *channel = image_row + (uint32_t)(x.origin + x.first) * channels;
            const int8_t *const end = channel + channels;
            for (; channel != end; channel++) {
                *next++ = largest(channel, y.end - y.first, x.end - x.first, row_bytes, channels);
            }
        }
    }
}

const dcc_kind dcc_kind_max_pool = {0u, 0, read, check, run};
