/* SPDX-License-Identifier: Apache-2.0
 *
 * Joins the channels of two tensors of different scales, pixel by pixel.
 */
#include "check.h"

static void read(dcc_operator *operator, dcc_cursor *cursor) {
    operator->second_index = dcc_take_unsigned(cursor);
    operator->multiplier = dcc_take_signed(cursor);
    operator->second_multiplier = dcc_take_signed(cursor);
    operator->offset = dcc_take_signed(cursor);
    operator->second_offset = dcc_take_signed(cursor);
    operator->shift = dcc_take_byte(cursor);
}

static dcc_status check(dcc_operator *operator, const dcc_model *model) {
    const dcc_tensor *first = &operator->input;
    const dcc_tensor *second = &operator->second;
    const dcc_tensor *output = &operator->output;
    (void)model;
    if (!dcc_same_size(first, output) || !dcc_same_size(second, output) ||
        first->channels + second->channels != output->channels) {
        return DCC_ERROR_SHAPE;
    }
    if (!dcc_sum_valid(operator)) return DCC_ERROR_REQUANTISATION;
    if (dcc_tensors_overlap(first, output) || dcc_tensors_overlap(second, output)) return DCC_ERROR_ARENA_RANGE;
    return DCC_OK;
}

/* The part of the output, from `to` on, that comes from one input. */
static void rescale(
    const dcc_operator *operator, const int8_t *from, uint32_t channels, int32_t multiplier, int32_t offset, int8_t *to) {
    const uint32_t step = operator->output.channels - channels;
    const uint32_t shift = operator->shift;
    const int32_t low = operator->scaling.low;
    const int32_t high = operator->scaling.high;
    uint32_t pixels = operator->output.height * operator->output.width;
    for (; pixels > 0u; pixels--) {
        const int8_t *const end = from + channels;
        while (from != end) {
            const int32_t sum = dcc_add(*from++, multiplier, 0, 0, offset);
            *to++ = (int8_t)dcc_clamp(sum >> shift, low, high);
        }
        to += step;
    }
}

static void run(const dcc_operator *operator, const dcc_model *model, uint8_t *arena) {
    const dcc_tensor *first = &operator->input;
    const dcc_tensor *second = &operator->second;
    int8_t *output = dcc_output(&operator->output, arena);
    (void)model;
    rescale(operator, dcc_input(first, arena), first->channels, operator->multiplier, operator->offset, output);
    rescale(
        operator, dcc_input(second, arena), second->channels, operator->second_multiplier, operator->second_offset,
        output + first->channels);
}

const dcc_kind dcc_kind_concatenate = {DCC_CLAMPED, 1, read, check, run};
