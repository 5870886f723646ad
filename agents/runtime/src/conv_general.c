/* SPDX-License-Identifier: Apache-2.0
 *
 * Any convolution, grouped and dilated ones included: each filter is decoded once into a list of its nonzero weights,
 * which is walked at every output position. Where there is only one, weights are multiplied as they are decoded.
 */
#include "conv.h"
#include "dsp.h"
#include "windows.h"

typedef struct {
    uint16_t offset; /* from the first channel that the group sees at tap (row, 0), in bytes */
    int16_t weight;
} nonzero;

/* starts[tap] is the index of the first nonzero of that tap, starts[taps] the number of all. Taps of one kernel row
 * are neighbours in the list, so a clipped row is one stretch of it. */
typedef struct {
    nonzero *nonzeros;
    uint16_t *starts;
    uint32_t sum; /* of all weights */
} filter;

#define CHUNK 64u

/* The nonzeros of one tap behind `count` others; gives how many there are then. */
static uint32_t decode_tap(
    filter *decoded, dcc_weights *weights, uint32_t channels, uint32_t offset, uint32_t count) {
    while (channels > 0u) {
        int16_t chunk[CHUNK];
        const uint32_t taken = channels < CHUNK ? channels : CHUNK;
        uint32_t i;
        dcc_take_weights(weights, chunk, taken);
        for (i = 0u; i < taken; i++, offset++) {
            const int32_t weight = chunk[i];
            if (weight == 0) continue;
            decoded->nonzeros[count].offset = (uint16_t)offset;
            decoded->nonzeros[count].weight = (int16_t)weight;
            decoded->sum += (uint32_t)weight;
            count++;
        }
        channels -= taken;
    }
    return count;
}

static void decode_filter(filter *decoded, dcc_weights *weights, const dcc_conv_job *job, uint32_t group_channels) {
    const uint32_t step = job->input_channels * (uint32_t)job->window.x.dilation;
    uint16_t *starts = decoded->starts;
    uint32_t count = 0u;
    int32_t row;
    decoded->sum = 0u;
    for (row = 0; row < job->window.y.kernel; row++) {
        uint32_t offset = 0u;
        int32_t column;
        for (column = 0; column < job->window.x.kernel; column++) {
            *starts++ = (uint16_t)count;
            count = decode_tap(decoded, weights, group_channels, offset, count);
            offset += step;
        }
    }
    *starts = (uint16_t)count;
}

/* One output position. image: at the group's first channel. Outside the image lies the input's zero point, so the sum of
 * x w is that of zero_point w over all taps and of (x - zero_point) w over those inside. Modulo 2^32: the packer has
 * proved that a sum of its own artifacts does not wrap, and a hostile one gets a wrong number but no undefined
 * behaviour. */
static int32_t accumulate(
    const filter *decoded, const dcc_conv_job *job, const int8_t *image, const dcc_span *y, const dcc_span *x) {
    const int32_t zero_point = job->input_zero_point;
    uint32_t sum = decoded->sum * (uint32_t)zero_point;
    int32_t row;
    for (row = y->first; row < y->end; row++) {
        /* Negative where the padding begins, but origin + offset never is: taps before x->first are left out. */
        const int32_t image_row = y->origin + row * job->window.y.dilation;
        const int32_t origin = (image_row * (int32_t)job->input_width + x->origin) * (int32_t)job->input_channels;
        const uint16_t *starts = decoded->starts + row * job->window.x.kernel;
        const nonzero *next = decoded->nonzeros + starts[x->first];
        const nonzero *const end = decoded->nonzeros + starts[x->end];
        for (; next < end; next++) {
            const int32_t value = image[origin + (int32_t)next->offset] - zero_point;
            sum += (uint32_t)(value * next->weight);
        }
    }
    return (int32_t)sum;
}

static uint32_t dot(const int16_t *weights, const int8_t *x, uint32_t count) {
    uint32_t sum = 0u;
#if DCC_DSP
    for (; count >= 4u; count -= 4u, weights += 4, x += 4) {
        const uint32_t word = dcc_word(x);
        const uint32_t even = dcc_sxtb16(word);
        const uint32_t odd = dcc_sxtb16_8(word);
        sum = (uint32_t)dcc_smlad(dcc_pkhbt(even, odd), dcc_pair(weights), (int32_t)sum);
        sum = (uint32_t)dcc_smlad(dcc_pkhtb(odd, even), dcc_pair(weights + 2), (int32_t)sum);
    }
#endif
    for (; count > 0u; count--) sum += (uint32_t)(*weights++ * *x++);
    return sum;
}

/* The part of one tap in a sum of x w; x is NULL outside the image. */
static uint32_t multiply_tap(dcc_weights *weights, const int8_t *x, uint32_t channels, int32_t zero_point) {
    uint32_t sum = 0u;
    while (channels > 0u) {
        union {
            int16_t values[CHUNK];
            uint32_t alignment;
        } chunk;
        const uint32_t taken = channels < CHUNK ? channels : CHUNK;
        uint32_t i;
        dcc_take_weights(weights, chunk.values, taken);
        if (x != NULL) {
            sum += dot(chunk.values, x, taken);
            x += taken;
        } else {
            for (i = 0u; i < taken; i++) sum += (uint32_t)(chunk.values[i] * zero_point);
        }
        channels -= taken;
    }
    return sum;
}

/* The sum of the only output position; y and x are its taps inside the image. */
static int32_t multiply_filter(
    dcc_weights *weights, const dcc_conv_job *job, const int8_t *image, const dcc_span *y, const dcc_span *x) {
    const uint32_t group_channels = job->input_channels / job->groups;
    uint32_t sum = 0u;
    int32_t row;
    for (row = 0; row < job->window.y.kernel; row++) {
        const int32_t image_row = (y->origin + row * job->window.y.dilation) * (int32_t)job->input_width;
        int32_t column;
        for (column = 0; column < job->window.x.kernel; column++) {
            const int32_t pixel = image_row + x->origin + column * job->window.x.dilation;
            const int inside = row >= y->first && row < y->end && column >= x->first && column < x->end;
            sum += multiply_tap(
                weights, inside ? image + pixel * (int32_t)job->input_channels : NULL, group_channels,
                job->input_zero_point);
        }
    }
    return (int32_t)sum;
}

/* All outputs of one filter, from y[at] on. */
static void convolve(const dcc_conv_job *job, const filter *decoded, const int8_t *image, dcc_channel channel, size_t at) {
    uint32_t row;
    for (row = 0u; row < job->output_height; row++) {
        const dcc_span y = dcc_clip(row, &job->window.y, job->window.y.dilation, job->input_height);
        uint32_t column;
        for (column = 0u; column < job->output_width; column++) {
            const dcc_span x = dcc_clip(column, &job->window.x, job->window.x.dilation, job->input_width);
            job->y[at] = dcc_finish(job, &channel, accumulate(decoded, job, image, &y, &x), at);
            at += job->output_channels;
        }
    }
}

void dcc_conv_general(const dcc_conv_job *job) {
    const uint32_t group_channels = job->input_channels / job->groups;
    const uint32_t group_filters = job->output_channels / job->groups;
    const uint32_t taps = (uint32_t)(job->window.y.kernel * job->window.x.kernel);
    const dcc_span y = dcc_clip(0u, &job->window.y, job->window.y.dilation, job->input_height);
    const dcc_span x = dcc_clip(0u, &job->window.x, job->window.x.dilation, job->input_width);
    dcc_weights weights = job->weights;
    dcc_channels channels = job->channels;
    filter decoded;
    uint32_t index;
    decoded.starts = (uint16_t *)(void *)job->scratch;
    decoded.nonzeros = (nonzero *)(void *)(job->scratch + dcc_round_up(2u * (taps + 1u), 4u));
    for (index = 0u; index < job->output_channels; index++) {
        const int8_t *image = job->x + index / group_filters * group_channels;
        const dcc_channel channel = dcc_next_channel(&channels);
        if (job->output_height == 1u && job->output_width == 1u) {
            const int32_t sum = multiply_filter(&weights, job, image, &y, &x);
            job->y[index] = dcc_finish(job, &channel, sum, index);
        } else {
            decode_filter(&decoded, &weights, job, group_channels);
            convolve(job, &decoded, image, channel, index);
        }
    }
}
