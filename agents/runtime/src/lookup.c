/* SPDX-License-Identifier: Apache-2.0
 *
 * Any function of single values, by table; the output may lie on the input.
 */
#include "kernels.h"

void dcc_run_lookup(const dcc_operator *operator, const uint8_t *table, uint8_t *arena) {
    const int8_t *input = dcc_input(&operator->input, arena);
    int8_t *output = dcc_output(&operator->output, arena);
    const uint32_t count = dcc_tensor_bytes(&operator->output);
    uint32_t i;
    for (i = 0u; i < count; i++) output[i] = (int8_t)table[input[i] + 128];
}
