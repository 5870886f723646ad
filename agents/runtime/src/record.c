/* SPDX-License-Identifier: Apache-2.0
 *
 * Records of tensors and operators. What several kinds have in common is here, the rest in their own files.
 */
#include "record.h"

#include <string.h>

dcc_tensor dcc_read_tensor(dcc_cursor *cursor) {
    dcc_tensor tensor;
    tensor.at = dcc_take_unsigned(cursor);
    tensor.height = dcc_take_unsigned(cursor);
    tensor.width = dcc_take_unsigned(cursor);
    tensor.channels = dcc_take_unsigned(cursor);
    tensor.zero_point = dcc_take_i8(cursor);
    return tensor;
}

dcc_cursor dcc_cursor_at(const dcc_model *model, uint32_t at) {
    return dcc_cursor_between(model->artifact + at, model->artifact + model->artifact_bytes);
}

dcc_tensor dcc_find_tensor(const dcc_model *model, uint32_t index) {
    dcc_cursor cursor = dcc_cursor_at(model, model->tensors_at);
    dcc_tensor tensor;
    for (; index > 0u; index--) { /* four numbers and a byte: quicker than reading them */
        uint32_t numbers = 4u;
        while (numbers > 0u) numbers -= *cursor.next++ < 128u;
        cursor.next++;
    }
    tensor = dcc_read_tensor(&cursor);
    tensor.at *= 4u;
    return tensor;
}

/* present: bit 0 for y, bit 4 for an x that is another. */
static void read_pair(dcc_cursor *cursor, int32_t *y, int32_t *x, uint32_t present, int32_t otherwise) {
    *y = (present & 1u) != 0u ? (int32_t)dcc_take_unsigned(cursor) : otherwise;
    *x = (present & 16u) != 0u ? (int32_t)dcc_take_unsigned(cursor) : *y;
}

void dcc_read_window(dcc_window *window, dcc_cursor *cursor, uint32_t bits) {
    const uint32_t present = dcc_take_byte(cursor);
    read_pair(cursor, &window->y.kernel, &window->x.kernel, present, 1);
    read_pair(cursor, &window->y.stride, &window->x.stride, present >> 1, 1);
    read_pair(cursor, &window->y.padding, &window->x.padding, present >> 2, 0);
    read_pair(cursor, &window->y.dilation, &window->x.dilation, present >> 3, 1);
    if ((present & ~bits) != 0u) window->y.kernel = 0; /* which no check lets pass */
}

void dcc_read_scaling(dcc_scaling *scaling, dcc_cursor *cursor) {
    const uint32_t byte = dcc_take_byte(cursor);
    scaling->accumulator_shift = byte & 15u;
    scaling->fraction_bits = byte >> 4;
}

dcc_status dcc_read_operator(dcc_operator *operator, const dcc_model *model, dcc_cursor *cursor) {
    const dcc_kind *kind;
    memset(operator, 0, sizeof *operator);
    operator->kind_byte = dcc_take_byte(cursor);
    if (cursor->failed) return DCC_ERROR_DATA_RANGE;
    if (dcc_kind_of(operator) >= DCC_KINDS) return DCC_ERROR_OPERATOR;
    kind = model->operators->kinds[dcc_kind_of(operator)];
    if (kind == NULL || (operator->kind_byte & ~15u & ~kind->bits) != 0u) return DCC_ERROR_OPERATOR;
    operator->input_index = dcc_take_unsigned(cursor);
    operator->output_index = dcc_take_unsigned(cursor);
    operator->scaling.low = -128;
    operator->scaling.high = 127;
    if ((operator->kind_byte & DCC_CLAMPED) != 0u) {
        operator->scaling.low = dcc_take_i8(cursor);
        operator->scaling.high = dcc_take_i8(cursor);
    }
    kind->read(operator, cursor);
    return cursor->failed ? DCC_ERROR_DATA_RANGE : DCC_OK;
}

int dcc_reads_second(const dcc_operator *operator, const dcc_model *model) {
    return model->operators->kinds[dcc_kind_of(operator)]->second || (operator->kind_byte & DCC_RESIDUAL) != 0u;
}

void dcc_find_tensors(dcc_operator *operator, const dcc_model *model) {
    operator->input = dcc_find_tensor(model, operator->input_index);
    operator->output = dcc_find_tensor(model, operator->output_index);
    if (dcc_reads_second(operator, model)) operator->second = dcc_find_tensor(model, operator->second_index);
    if ((operator->kind_byte & DCC_FLATTEN) != 0u) {
        operator->input.channels = dcc_tensor_bytes(&operator->input);
        operator->input.height = 1u;
        operator->input.width = 1u;
    }
}
