/* SPDX-License-Identifier: Apache-2.0
 *
 * Multiplies two tensors of one shape, or every pixel of an image by one pixel; the output may lie on an input of its
 * shape.
 */
#include "kernels.h"

void dcc_run_multiply(const dcc_operator *operator, const dcc_pair *multiply, uint8_t *arena) {
    const int8_t *first = dcc_input(&operator->input, arena);
    const int8_t *second = dcc_input(&multiply->second, arena);
    int8_t *output = dcc_output(&operator->output, arena);
    const uint32_t count = dcc_tensor_bytes(&operator->output);
    const uint32_t period = dcc_tensor_bytes(&multiply->second);
    uint32_t i = 0u;
    while (i < count) {
        uint32_t j;
        for (j = 0u; j < period; j++, i++) {
            int32_t product = (first[i] - operator->input.zero_point) * (second[j] - multiply->second.zero_point);
            output[i] = dcc_narrow((int64_t)product * multiply->multiplier, multiply->shift, operator);
        }
    }
}
