/* SPDX-License-Identifier: Apache-2.0
 *
 * Puts an image into a larger one of zeros.
 */
#include <string.h>

#include "kernels.h"

void dcc_run_pad(const dcc_operator *operator, const dcc_pad *pad, uint8_t *arena) {
    const dcc_tensor *input = &operator->input;
    const dcc_tensor *output = &operator->output;
    const int8_t *from = dcc_input(input, arena);
    int8_t *to = dcc_output(output, arena);
    uint32_t row;
    memset(to, output->zero_point, dcc_tensor_bytes(output));
    to += (pad->top * output->width + pad->left) * output->channels;
    for (row = 0u; row < input->height; row++) {
        memcpy(to, from, input->width * input->channels);
        from += input->width * input->channels;
        to += output->width * output->channels;
    }
}
