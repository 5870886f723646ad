/* SPDX-License-Identifier: Apache-2.0
 *
 * Joins the channels of two tensors of different scales, pixel by pixel.
 */
#include "kernels.h"

/* The part of the output, from `first_channel` on, that comes from one input. */
static void rescale(
    const dcc_operator *operator, const dcc_tensor *input, uint32_t first_channel, int32_t multiplier, uint32_t shift,
    uint8_t *arena) {
    const dcc_tensor *output = &operator->output;
    const int8_t *from = dcc_input(input, arena);
    int8_t *to = dcc_output(output, arena) + first_channel;
    const int8_t *end = from + dcc_tensor_bytes(input);
    while (from < end) {
        uint32_t channel;
        for (channel = 0u; channel < input->channels; channel++) {
            to[channel] = dcc_narrow((int64_t)(*from++ - input->zero_point) * multiplier, shift, operator);
        }
        to += output->channels;
    }
}

void dcc_run_concatenate(const dcc_operator *operator, const dcc_pair *concatenate, uint8_t *arena) {
    const dcc_tensor *first = &operator->input;
    rescale(operator, first, 0u, concatenate->multiplier, concatenate->shift, arena);
    rescale(
        operator, &concatenate->second, first->channels, concatenate->second_multiplier, concatenate->shift, arena);
}
