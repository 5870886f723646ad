/* SPDX-License-Identifier: Apache-2.0
 *
 * Adds two tensors of different scales element by element; the output may lie on either input.
 */
#include "check.h"

static void read(dcc_operator *operator, dcc_cursor *cursor) {
    operator->second_index = dcc_take_unsigned(cursor);
    operator->multiplier = dcc_take_signed(cursor);
    operator->second_multiplier = dcc_take_signed(cursor);
    operator->offset = dcc_take_signed(cursor);
    operator->shift = dcc_take_byte(cursor);
}

static dcc_status check(dcc_operator *operator, const dcc_model *model) {
    const dcc_tensor *output = &operator->output;
    (void)model;
    if (!dcc_same_shape(&operator->input, output) || !dcc_same_shape(&operator->second, output)) {
        return DCC_ERROR_SHAPE;
    }
    if (!dcc_sum_valid(operator)) return DCC_ERROR_REQUANTISATION;
    if (!dcc_apart_or_in_place(&operator->input, output) || !dcc_apart_or_in_place(&operator->second, output)) {
        return DCC_ERROR_ARENA_RANGE;
    }
    return DCC_OK;
}

static void run(const dcc_operator *operator, const dcc_model *model, uint8_t *arena) {
    const int8_t *first = dcc_input(&operator->input, arena);
    const int8_t *second = dcc_input(&operator->second, arena);
    int8_t *output = dcc_output(&operator->output, arena);
    int8_t *const end = output + dcc_tensor_bytes(&operator->output);
    const int32_t first_multiplier = operator->multiplier;
    const int32_t second_multiplier = operator->second_multiplier;
    const int32_t offset = operator->offset;
    const int32_t low = operator->scaling.low;
    const int32_t high = operator->scaling.high;
    const uint32_t shift = operator->shift;
    (void)model;
    while (output != end) {
        const int32_t sum = dcc_add(*first++, first_multiplier, *second++, second_multiplier, offset);
        *output++ = (int8_t)dcc_clamp(sum >> shift, low, high);
    }
}

const dcc_kind dcc_kind_add = {DCC_CLAMPED, 1, read, check, run};
