/* SPDX-License-Identifier: Apache-2.0
 *
 * What the convolution kernels share: the job that each is given, and what happens to a finished sum.
 *
 * Kernels trust the job: dcc_model_load has checked every size. FORMAT.md says which kernel takes what, and how
 * large its scratch is.
 */
#ifndef DCC_CONV_H
#define DCC_CONV_H

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

/* What turns an accumulator into an int8, common to all channels. */
typedef struct {
    uint32_t accumulator_shift; /* p, 0 to 15 */
    uint32_t fraction_bits;     /* k, 0 to 15 */
    int32_t low;
    int32_t high;
} dcc_scaling;

/* And per channel. */
typedef struct {
    int32_t bias;
    int32_t multiplier; /* 16 bits */
} dcc_channel;

typedef struct {
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
    dcc_weights weights;   /* at the first weight; dcc_next_weight gives them in order */
    dcc_channels channels; /* at the first channel; dcc_next_channel gives them in order */
    dcc_scaling scaling;
    dcc_residual residual;
    uint8_t *scratch; /* 4-byte aligned */
} dcc_conv_job;

void dcc_conv_general(const dcc_conv_job *job);
void dcc_conv_tile(const dcc_conv_job *job);
void dcc_conv_band(const dcc_conv_job *job);
void dcc_conv_depthwise(const dcc_conv_job *job);
void dcc_conv_vector(const dcc_conv_job *job);

#endif
