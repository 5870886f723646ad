/* SPDX-License-Identifier: Apache-2.0
 *
 * DEPTHWISE: one channel after the other.
 */
#include "conv.h"

void dcc_conv_depthwise(const dcc_conv_job *job) {
    const dcc_axis *const yx[2] = {&job->window.y, &job->window.x};
    dcc_weights weights = job->weights;
    dcc_channels channels = job->channels;
    int16_t *const taps = (int16_t *)(void *)job->scratch;
    const uint32_t count = (uint32_t)(yx[0]->kernel * yx[1]->kernel);
    uint32_t channel;
    for (channel = 0u; channel < job->input_channels; channel++) {
        const dcc_channel requantise = dcc_next_channel(&channels);
        uint32_t row;
        dcc_take_weights(&weights, taps, count);
        for (row = 0u; row < job->output_height; row++) {
            uint32_t column;
            for (column = 0u; column < job->output_width; column++) {
                const size_t at = ((size_t)row * job->output_width + column) * job->output_channels + channel;
                uint32_t sum = 0u;
                uint32_t tap;
                for (tap = 0u; tap < count; tap++) {
                    const uint32_t y = row * (uint32_t)yx[0]->stride + tap / (uint32_t)yx[1]->kernel - (uint32_t)yx[0]->padding;
                    const uint32_t x = column * (uint32_t)yx[1]->stride + tap % (uint32_t)yx[1]->kernel - (uint32_t)yx[1]->padding;
                    int32_t value = job->input_zero_point;
                    if (y < job->input_height && x < job->input_width) {
                        value = job->x[(y * job->input_width + x) * job->input_channels + channel];
                    }
                    sum += (uint32_t)(value * taps[tap]);
                }
                job->y[at] = dcc_finish(job, &requantise, (int32_t)sum, at);
            }
        }
    }
}
