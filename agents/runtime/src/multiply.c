/* SPDX-License-Identifier: Apache-2.0
 *
 * Multiplies two tensors of one shape, or every pixel of an image by one pixel; the output may lie on an input of its
 * shape.
 */
#include "check.h"
#include "record.h"

static void read(dcc_operator *operator, dcc_cursor *cursor) {
    operator->second_index = dcc_take_unsigned(cursor);
    dcc_read_scaling(&operator->scaling, cursor);
    operator->multiplier = dcc_take_signed(cursor);
    operator->offset = dcc_take_signed(cursor);
}

static dcc_status check(dcc_operator *operator, const dcc_model *model) {
    const dcc_tensor *second = &operator->second;
    const dcc_tensor *output = &operator->output;
    const int is_pixel = second->height == 1u && second->width == 1u && second->channels == output->channels;
    (void)model;
    if (!dcc_same_shape(&operator->input, output) || !(is_pixel || dcc_same_shape(second, output))) {
        return DCC_ERROR_SHAPE;
    }
    if (!dcc_is_16_bits(operator->multiplier)) return DCC_ERROR_REQUANTISATION;
    if (!dcc_apart_or_in_place(&operator->input, output) || !dcc_apart_or_in_place(second, output)) {
        return DCC_ERROR_ARENA_RANGE;
    }
    return DCC_OK;
}

static void run(const dcc_operator *operator, const dcc_model *model, uint8_t *arena) {
    const int8_t *first = dcc_input(&operator->input, arena);
    const int8_t *const all_of_second = dcc_input(&operator->second, arena);
    const int8_t *const second_end = all_of_second + dcc_tensor_bytes(&operator->second);
    int8_t *output = dcc_output(&operator->output, arena);
    int8_t *const end = output + dcc_tensor_bytes(&operator->output);
    const dcc_scaling scaling = operator->scaling;
    (void)model;
    while (output != end) {
        const int8_t *second = all_of_second;
        while (second != second_end) {
            const int32_t product = (*first++ - operator->input.zero_point) * (*second++ - operator->second.zero_point);
            *output++ = (int8_t)dcc_requantise(&scaling, operator->multiplier, operator->offset, product);
        }
    }
}

const dcc_kind dcc_kind_multiply = {DCC_CLAMPED, 1, read, check, run};
