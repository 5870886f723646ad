/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution, grouped and depthwise included; linear layers arrive as 1x1 convolutions.
 *
 * Each filter is decoded once from its bit streams into a list of nonzero weights, and that list is walked at every
 * output position: zeros cost nothing and the inner loop unpacks nothing.
 */
#include "kernels.h"
#include "weights.h"

typedef struct {
    uint16_t offset; /* from the first channel that the group sees at tap (row, 0), in bytes */
    int16_t weight;
} nonzero;

/* starts[tap] is the index of the first nonzero of that tap, starts[taps] the number of all. Taps of one kernel row
 * are neighbours in the list, so a clipped row is one stretch of it. */
typedef struct {
    const nonzero *nonzeros;
    const uint16_t *starts;
} filter;

static void decode_filter(
    dcc_weights *weights, const dcc_conv *conv, uint32_t pixel_bytes, uint32_t group_channels, nonzero *nonzeros,
    uint16_t *starts) {
    uint32_t count = 0u;
    int32_t row;
    pixel_bytes *= (uint32_t)conv->window.x.dilation;
    for (row = 0; row < conv->window.y.kernel; row++) {
        uint32_t offset = 0u;
        int32_t column;
        for (column = 0; column < conv->window.x.kernel; column++) {
            uint32_t channel;
            *starts++ = (uint16_t)count;
            for (channel = 0u; channel < group_channels; channel++) {
                int32_t weight = dcc_next_weight(weights);
                if (weight != 0) {
                    nonzeros[count].offset = (uint16_t)(offset + channel);
                    nonzeros[count].weight = (int16_t)weight;
                    count++;
                }
            }
            offset += pixel_bytes;
        }
    }
    *starts = (uint16_t)count;
}

/* One output position. image: at the group's first channel. Sums modulo 2^32: the packer has proved that a sum of its
 * own artifacts does not wrap, and a hostile one gets a wrong number but no undefined behaviour. */
static int32_t accumulate(
    const filter *decoded, const dcc_window *window, const dcc_tensor *input, const int8_t *image, const dcc_span *y,
    const dcc_span *x, int32_t bias) {
    uint32_t sum = (uint32_t)bias;
    int32_t row;
    for (row = y->first; row < y->end; row++) {
        /* Negative where the padding begins, but origin + offset never is: taps before x->first are left out. */
        int32_t image_row = y->origin + row * window->y.dilation;
        int32_t origin = (image_row * (int32_t)input->width + x->origin) * (int32_t)input->channels;
        const uint16_t *starts = decoded->starts + row * window->x.kernel;
        const nonzero *next = decoded->nonzeros + starts[x->first];
        const nonzero *end = decoded->nonzeros + starts[x->end];
        for (; next < end; next++) {
            int32_t value = image[origin + (int32_t)next->offset] - input->zero_point;
            sum += (uint32_t)(value * next->weight);
        }
    }
    return (int32_t)sum;
}

void dcc_run_conv(const dcc_operator *operator, const dcc_conv *conv, const uint8_t *artifact, uint8_t *arena) {
    const dcc_tensor *input = &operator->input;
    const dcc_tensor *output = &operator->output;
    const uint32_t group_channels = input->channels / conv->groups;
    const uint32_t group_filters = output->channels / conv->groups;
    const uint32_t taps = (uint32_t)(conv->window.y.kernel * conv->window.x.kernel);
    const uint8_t *biases = artifact + conv->data_at;
    const uint8_t *multipliers = biases + 4u * output->channels;
    const uint8_t *shifts = multipliers + 4u * output->channels;
    uint8_t narrow_codes[DCC_NARROW_CODES];
    dcc_weights weights =
        dcc_weights_at(biases, conv, output->channels, output->channels * taps * group_channels, narrow_codes);
    uint8_t *scratch = arena + conv->scratch_at;
    uint16_t *starts = (uint16_t *)(void *)scratch;
    nonzero *nonzeros = (nonzero *)(void *)(scratch + dcc_scratch_bytes(taps, 0u));
    const filter decoded = {nonzeros, starts};
    uint32_t channel;
    for (channel = 0u; channel < output->channels; channel++) {
        const int8_t *image = dcc_input(input, arena) + channel / group_filters * group_channels;
        const int32_t bias = dcc_i32(biases + 4u * channel);
        const int32_t multiplier = dcc_i32(multipliers + 4u * channel);
        const uint32_t shift = shifts[channel];
        int8_t *next = dcc_output(output, arena) + channel;
        uint32_t row;
        decode_filter(&weights, conv, input->channels, group_channels, nonzeros, starts);
        for (row = 0u; row < output->height; row++) {
            const dcc_span y = dcc_clip(row, &conv->window.y, conv->window.y.dilation, input->height);
            uint32_t column;
            for (column = 0u; column < output->width; column++) {
                const dcc_span x = dcc_clip(column, &conv->window.x, conv->window.x.dilation, input->width);
                int32_t sum = accumulate(&decoded, &conv->window, input, image, &y, &x, bias);
                *next = dcc_narrow((int64_t)sum * multiplier, shift, operator);
                next += output->channels;
            }
        }
    }
}
