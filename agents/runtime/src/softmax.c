/* SPDX-License-Identifier: Apache-2.0
 *
 * Softmax over the channels of each pixel, by a table of exponentials; the output may lie on the input.
 */
#include "elementwise.h"

static void read(dcc_operator *operator, dcc_cursor *cursor) {
    operator->table = dcc_take_bytes(cursor, DCC_EXPONENTIALS_BYTES);
}

static dcc_status check(dcc_operator *operator, const dcc_model *model) {
    const dcc_status status = dcc_check_elementwise(operator, model);
    if (status == DCC_OK && dcc_u16(operator->table) != DCC_FIRST_EXPONENTIAL) return DCC_ERROR_REQUANTISATION;
    return status;
}

static int8_t largest(const int8_t *pixel, uint32_t channels) {
    int8_t best = pixel[0];
    uint32_t i;
    for (i = 1u; i < channels; i++) {
        if (pixel[i] > best) best = pixel[i];
    }
    return best;
}

static uint32_t exponential(const uint8_t *exponentials, int8_t best, int8_t value) {
    return dcc_u16(exponentials + 2 * (best - value));
}

static void run(const dcc_operator *operator, const dcc_model *model, uint8_t *arena) {
    const uint8_t *const exponentials = operator->table;
    const uint32_t channels = operator->input.channels;
    const int8_t *input = dcc_input(&operator->input, arena);
    const int8_t *end = input + dcc_tensor_bytes(&operator->input);
    int8_t *output = dcc_output(&operator->output, arena);
    (void)model;
    for (; input < end; input += channels, output += channels) {
        const int8_t best = largest(input, channels);
        uint32_t sum = 0u; /* at least the exponential of the largest, 2^15, and at most 65535^2 */
        uint32_t i;
        for (i = 0u; i < channels; i++) sum += exponential(exponentials, best, input[i]);
        for (i = 0u; i < channels; i++) {
            uint32_t share = (256u * exponential(exponentials, best, input[i]) + sum / 2u) / sum;
            output[i] = (int8_t)((int32_t)(share < 255u ? share : 255u) - 128);
        }
    }
}

const dcc_kind dcc_kind_softmax = {0u, 0, read, check, run};
