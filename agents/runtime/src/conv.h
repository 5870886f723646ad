/* SPDX-License-Identifier: Apache-2.0
 *
 * What the convolution kernels share: the job that each is given, and what happens to a finished sum.
 *
 * Kernels trust the job: dcc_model_load has checked every size. FORMAT.md says which kernel takes what, and how
 * large its scratch is.
 */
#ifndef DCC_CONV_H
#define DCC_CONV_H

#include "arithmetic.h"
#include "channels.h"
#include "format.h"
#include "weights.h"

/* A residual add that follows the convolution at once; x lies like the output, or on it. */
typedef struct {
    const int8_t *x; /* NULL where there is none */
    int32_t multiplier;          /* of the convolution's int8, 16 bits */
    int32_t residual_multiplier; /* 16 bits */
    int32_t offset;
    uint32_t shift;
    int32_t low;
    int32_t high;
} dcc_residual;

typedef struct dcc_conv_job {
    const int8_t *x; /* NHWC, as is y */
    int8_t *y;
    uint32_t input_height; /* FLATTEN has been applied */
    uint32_t input_width;
    uint32_t input_channels;
    uint32_t output_height;
    uint32_t output_width;
    uint32_t output_channels;
    int32_t input_zero_point; /* what lies outside the image */
    dcc_window window;
    uint32_t groups;
    uint32_t filters_at_once;
    uint32_t rows_at_once;
    int32_t weight_zero_point;
    const uint8_t *raw; /* codes in RAW order, 4-byte aligned; NULL where `weights` is to be decoded */
    dcc_weights weights;   /* at the first weight; dcc_take_weights gives them in order */
    dcc_channels channels; /* at the first channel; dcc_next_channel gives them in order */
    dcc_scaling scaling;
    dcc_residual residual;
    uint8_t *scratch; /* 4-byte aligned */
} dcc_conv_job;

/* The int8 of a finished sum that goes to y[at]. */
static inline int8_t dcc_finish(const dcc_conv_job *job, const dcc_channel *channel, int32_t sum, size_t at) {
    const dcc_residual *residual = &job->residual;
    int32_t value = dcc_requantise(&job->scaling, channel->multiplier, channel->bias, sum);
    if (residual->x != NULL) {
        value = dcc_add(value, residual->multiplier, residual->x[at], residual->residual_multiplier, residual->offset);
        value = dcc_clamp(value >> residual->shift, residual->low, residual->high);
    }
    return (int8_t)value;
}

void dcc_conv_general(const dcc_conv_job *job);
void dcc_conv_tile(const dcc_conv_job *job);
void dcc_conv_band(const dcc_conv_job *job);
void dcc_conv_depthwise(const dcc_conv_job *job);
void dcc_conv_vector(const dcc_conv_job *job);

#endif
