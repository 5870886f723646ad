/* SPDX-License-Identifier: Apache-2.0
 *
 * ReLU and ReLU6 where they could not become the clamp of the operator before; the output may lie on the input.
 */
#include "kernels.h"

void dcc_run_relu(const dcc_operator *operator, uint8_t *arena) {
    const int8_t *input = dcc_input(&operator->input, arena);
    int8_t *output = dcc_output(&operator->output, arena);
    const uint32_t count = dcc_tensor_bytes(&operator->output);
    uint32_t i;
    for (i = 0u; i < count; i++) {
        int32_t value = input[i];
        if (value < operator->low) value = operator->low;
        if (value > operator->high) value = operator->high;
        output[i] = (int8_t)value;
    }
}
