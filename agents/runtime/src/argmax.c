/* SPDX-License-Identifier: Apache-2.0
 *
 * The index of the largest channel of each pixel, the first of equal ones, less 128.
 */
#include "kernels.h"

void dcc_run_argmax(const dcc_operator *operator, uint8_t *arena) {
    const uint32_t channels = operator->input.channels;
    const int8_t *input = dcc_input(&operator->input, arena);
    const int8_t *end = input + dcc_tensor_bytes(&operator->input);
    int8_t *output = dcc_output(&operator->output, arena);
    for (; input < end; input += channels) {
        uint32_t best = 0u;
        uint32_t i;
        for (i = 1u; i < channels; i++) {
            if (input[i] > input[best]) best = i;
        }
        *output++ = (int8_t)((int32_t)best - 128);
    }
}
