/* SPDX-License-Identifier: Apache-2.0
 *
 * Average pool; padding counts as zeros of the real axis. The division by the area is part of the multiplier.
 */
#include "kernels.h"

static int32_t sum_window(
    const dcc_tensor *input, const int8_t *channel, const dcc_span *y, const dcc_span *x) {
    int32_t sum = 0;
    int32_t row;
    for (row = y->origin + y->first; row < y->origin + y->end; row++) {
        int32_t column;
        for (column = x->origin + x->first; column < x->origin + x->end; column++) {
            sum += channel[(row * (int32_t)input->width + column) * (int32_t)input->channels] - input->zero_point;
        }
    }
    return sum;
}

void dcc_run_average_pool(const dcc_operator *operator, const dcc_pool *pool, uint8_t *arena) {
    const dcc_tensor *input = &operator->input;
    const dcc_tensor *output = &operator->output;
    const int8_t *image = dcc_input(input, arena);
    int8_t *next = dcc_output(output, arena);
    uint32_t row;
    for (row = 0u; row < output->height; row++) {
        const dcc_span y = dcc_clip(row, &pool->window.y, 1, input->height);
        uint32_t column;
        for (column = 0u; column < output->width; column++) {
            const dcc_span x = dcc_clip(column, &pool->window.x, 1, input->width);
            uint32_t channel;
            for (channel = 0u; channel < output->channels; channel++) {
                int32_t sum = sum_window(input, image + channel, &y, &x);
                *next++ = dcc_narrow((int64_t)sum * pool->multiplier, pool->shift, operator);
            }
        }
    }
}
