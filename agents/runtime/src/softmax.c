/* SPDX-License-Identifier: Apache-2.0
 *
 * Softmax over the channels of each pixel, by a table of exponentials; the output may lie on the input.
 */
#include "kernels.h"

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

void dcc_run_softmax(const dcc_operator *operator, const uint8_t *exponentials, uint8_t *arena) {
    const uint32_t channels = operator->input.channels;
    const int8_t *input = dcc_input(&operator->input, arena);
    const int8_t *end = input + dcc_tensor_bytes(&operator->input);
    int8_t *output = dcc_output(&operator->output, arena);
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
