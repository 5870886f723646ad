/* SPDX-License-Identifier: Apache-2.0
 *
 * The operators, and the arithmetic that they share. Kernels trust their arguments: dcc_model_load has checked them.
 */
#ifndef DCC_KERNELS_H
#define DCC_KERNELS_H

#include "format.h"

void dcc_run_conv(const dcc_operator *operator, const dcc_conv *conv, const uint8_t *artifact, uint8_t *arena);
void dcc_run_add(const dcc_operator *operator, const dcc_pair *add, uint8_t *arena);
void dcc_run_multiply(const dcc_operator *operator, const dcc_pair *multiply, uint8_t *arena);
void dcc_run_concatenate(const dcc_operator *operator, const dcc_pair *concatenate, uint8_t *arena);
void dcc_run_average_pool(const dcc_operator *operator, const dcc_pool *pool, uint8_t *arena);
void dcc_run_max_pool(const dcc_operator *operator, const dcc_pool *pool, uint8_t *arena);
void dcc_run_pad(const dcc_operator *operator, const dcc_pad *pad, uint8_t *arena);
void dcc_run_relu(const dcc_operator *operator, uint8_t *arena);
void dcc_run_lookup(const dcc_operator *operator, const uint8_t *table, uint8_t *arena);
void dcc_run_softmax(const dcc_operator *operator, const uint8_t *exponentials, uint8_t *arena);
void dcc_run_argmax(const dcc_operator *operator, uint8_t *arena);

static inline const int8_t *dcc_input(const dcc_tensor *tensor, const uint8_t *arena) {
    return (const int8_t *)(arena + tensor->at);
}

static inline int8_t *dcc_output(const dcc_tensor *tensor, uint8_t *arena) { return (int8_t *)(arena + tensor->at); }

/* The int8 of a sum already multiplied: rounds, shifts and clamps. >> of a negative number is arithmetic in every
 * compiler that we know of, and the tests would tell. */
static inline int8_t dcc_narrow(int64_t product, uint32_t shift, const dcc_operator *operator) {
    int64_t value = ((product + ((int64_t)1 << (shift - 1u))) >> shift) + operator->output.zero_point;
    if (value < operator->low) return (int8_t)operator->low;
    if (value > operator->high) return (int8_t)operator->high;
    return (int8_t)value;
}

/* The taps [first, end) of a window along one axis that lie inside the image; origin is where tap 0 lies. */
typedef struct {
    int32_t origin;
    int32_t first;
    int32_t end;
} dcc_span;

/* How many of a window's taps lie before a point so far from its first tap. */
static inline int32_t dcc_taps_before(int32_t distance, int32_t kernel, int32_t dilation) {
    if (distance <= 0) return 0;
    if (dilation != 1) distance = (distance + dilation - 1) / dilation;
    return distance < kernel ? distance : kernel;
}

/* dilation: axis->dilation, or 1 where it is known to be that. */
static inline dcc_span dcc_clip(
    uint32_t output_position, const dcc_axis *axis, int32_t dilation, uint32_t image_size) {
    dcc_span span;
    span.origin = (int32_t)output_position * axis->stride - axis->padding;
    span.first = dcc_taps_before(-span.origin, axis->kernel, dilation);
    span.end = dcc_taps_before((int32_t)image_size - span.origin, axis->kernel, dilation);
    return span;
}

#endif
