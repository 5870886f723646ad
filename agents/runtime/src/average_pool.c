/* SPDX-License-Identifier: Apache-2.0
 *
 * Average pool; padding counts as zeros of the real axis. The division by the area is part of the multiplier.
 */
#include "check.h"
#include "record.h"
#include "windows.h"

static void read(dcc_operator *operator, dcc_cursor *cursor) {
    dcc_read_window(&operator->window, cursor, DCC_POOL_WINDOW);
    dcc_read_scaling(&operator->scaling, cursor);
    operator->multiplier = dcc_take_signed(cursor);
    operator->offset = dcc_take_signed(cursor);
}

static dcc_status check(dcc_operator *operator, const dcc_model *model) {
    (void)model;
    if (!dcc_pool_fits(operator)) return DCC_ERROR_SHAPE;
    if (!dcc_is_16_bits(operator->multiplier)) return DCC_ERROR_REQUANTISATION;
    return dcc_tensors_overlap(&operator->input, &operator->output) ? DCC_ERROR_ARENA_RANGE : DCC_OK;
}

/* Of one channel over so many rows and columns; steps are from row to row and from column to column. */
static int32_t sum_of(const int8_t *row, int32_t rows, int32_t columns, uint32_t row_step, uint32_t column_step) {
    int32_t sum = 0;
    for (; rows > 0; rows--) {
        const int8_t *x = row;
        int32_t column;
        for (column = columns; column > 0; column--) {
            sum += *x;
            x += column_step;
        }
        row += row_step;
    }
    return sum;
}

static void run(const dcc_operator *operator, const dcc_model *model, uint8_t *arena) {
    const dcc_window *window = &operator->window;
    const dcc_tensor *input = &operator->input;
    const dcc_tensor *output = &operator->output;
    const uint32_t channels = input->channels;
    const uint32_t row_bytes = input->width * channels;
    int8_t *next = dcc_output(output, arena);
    uint32_t row;
    (void)model;
    for (row = 0u; row < output->height; row++) {
        const dcc_span y = dcc_clip(row, &window->y, 1, input->height);
        const int32_t rows = y.end - y.first;
        const int8_t *image_row = dcc_input(input, arena) + (uint32_t)(y.origin + y.first) * row_bytes;
        uint32_t column;
        for (column = 0u; column < output->width; column++) {
            const dcc_span x = dcc_clip(column, &window->x, 1, input->width);
            const int32_t columns = x.end - x.first;
            const int32_t outside = window->y.kernel * window->x.kernel - rows * columns;
            const int8_t *channel = image_row + (uint32_t)(x.origin + x.first) * channels;
            const int8_t *const end = channel + channels;
            for (; channel != end; channel++) {
                const int32_t sum = sum_of(channel, rows, columns, row_bytes, channels) + outside * input->zero_point;
                *next++ = (int8_t)dcc_requantise(&operator->scaling, operator->multiplier, operator->offset, sum);
            }
        }
    }
}

const dcc_kind dcc_kind_average_pool = {DCC_CLAMPED, 0, read, check, run};
