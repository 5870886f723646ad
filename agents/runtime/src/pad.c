/* SPDX-License-Identifier: Apache-2.0
 *
 * Puts an image into a larger one of zeros.
 */
#include <string.h>

#include "check.h"

static void read(dcc_operator *operator, dcc_cursor *cursor) {
    operator->top = dcc_take_unsigned(cursor);
    operator->left = dcc_take_unsigned(cursor);
}

/* Whether an image lies inside a larger one, so far from its edge. */
static int lies_inside(uint32_t before, uint32_t size, uint32_t larger_size) {
    return size <= larger_size && before <= larger_size - size;
}

static dcc_status check(dcc_operator *operator, const dcc_model *model) {
    const dcc_tensor *input = &operator->input;
    const dcc_tensor *output = &operator->output;
    (void)model;
    if (input->channels != output->channels || !lies_inside(operator->top, input->height, output->height) ||
        !lies_inside(operator->left, input->width, output->width)) {
        return DCC_ERROR_SHAPE;
    }
    return dcc_tensors_overlap(input, output) ? DCC_ERROR_ARENA_RANGE : DCC_OK;
}

static void run(const dcc_operator *operator, const dcc_model *model, uint8_t *arena) {
    const dcc_tensor *input = &operator->input;
    const dcc_tensor *output = &operator->output;
    const uint32_t row_bytes = input->width * input->channels;
    const int8_t *from = dcc_input(input, arena);
    int8_t *to = dcc_output(output, arena);
    uint32_t row;
    (void)model;
    memset(to, output->zero_point, dcc_tensor_bytes(output));
    to += (operator->top * output->width + operator->left) * output->channels;
    for (row = 0u; row < input->height; row++) {
        memcpy(to, from, row_bytes);
        from += row_bytes;
        to += output->width * output->channels;
    }
}

const dcc_kind dcc_kind_pad = {0u, 0, read, check, run};
