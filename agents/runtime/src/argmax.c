/* SPDX-License-Identifier: Apache-2.0
 *
 * The index of the largest channel of each pixel, the first of equal ones, less 128.
 */
#include "elementwise.h"

static dcc_status check(dcc_operator *operator, const dcc_model *model) {
    const dcc_tensor *input = &operator->input;
    const dcc_tensor *output = &operator->output;
    (void)model;
    if (!dcc_same_size(input, output) || output->channels != 1u || input->channels > 256u) return DCC_ERROR_SHAPE;
    return dcc_tensors_overlap(input, output) ? DCC_ERROR_ARENA_RANGE : DCC_OK;
}

static void run(const dcc_operator *operator, const dcc_model *model, uint8_t *arena) {
    const uint32_t channels = operator->input.channels;
    const int8_t *input = dcc_input(&operator->input, arena);
    const int8_t *end = input + dcc_tensor_bytes(&operator->input);
    int8_t *output = dcc_output(&operator->output, arena);
    (void)model;
    for (; input < end; input += channels) {
        uint32_t best = 0u;
        uint32_t i;
        for (i = 1u; i < channels; i++) {
            if (input[i] > input[best]) best = i;
        }
        *output++ = (int8_t)((int32_t)best - 128);
    }
}

const dcc_kind dcc_kind_argmax = {0u, 0, dcc_read_nothing, check, run};
