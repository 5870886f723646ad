/* SPDX-License-Identifier: Apache-2.0
 *
 * ReLU and ReLU6 where they could not become the clamp of the operator before; the output may lie on the input.
 */
#include "elementwise.h"

static void run(const dcc_operator *operator, const dcc_model *model, uint8_t *arena) {
    const int8_t *input = dcc_input(&operator->input, arena);
    int8_t *output = dcc_output(&operator->output, arena);
    int8_t *const end = output + dcc_tensor_bytes(&operator->output);
    const int32_t low = operator->scaling.low;
    const int32_t high = operator->scaling.high;
    (void)model;
    while (output != end) *output++ = (int8_t)dcc_clamp(*input++, low, high);
}

const dcc_kind dcc_kind_relu = {DCC_CLAMPED, 0, dcc_read_nothing, dcc_check_elementwise, run};
