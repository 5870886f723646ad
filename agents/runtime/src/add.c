/* SPDX-License-Identifier: Apache-2.0
 *
 * Adds two tensors of different scales element by element; the output may lie on either input.
 */
#include "kernels.h"

void dcc_run_add(const dcc_operator *operator, const dcc_pair *add, uint8_t *arena) {
    const int8_t *first = dcc_input(&operator->input, arena);
    const int8_t *second = dcc_input(&add->second, arena);
    int8_t *output = dcc_output(&operator->output, arena);
    const uint32_t count = dcc_tensor_bytes(&operator->output);
    uint32_t i;
    for (i = 0u; i < count; i++) {
        int64_t product = (int64_t)(first[i] - operator->input.zero_point) * add->multiplier +
                          (int64_t)(second[i] - add->second.zero_point) * add->second_multiplier;
        output[i] = dcc_narrow(product, add->shift, operator);
    }
}
