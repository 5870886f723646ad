/* SPDX-License-Identifier: Apache-2.0
 *
 * Shapes, places and ranges that the checks of several kinds of operators look at.
 */
#include "check.h"

#include "windows.h"

int dcc_same_size(const dcc_tensor *a, const dcc_tensor *b) { return a->height == b->height && a->width == b->width; }

int dcc_same_shape(const dcc_tensor *a, const dcc_tensor *b) {
    return dcc_same_size(a, b) && a->channels == b->channels;
}

int dcc_tensors_overlap(const dcc_tensor *a, const dcc_tensor *b) {
    return dcc_overlap(a->at, dcc_tensor_bytes(a), b->at, dcc_tensor_bytes(b));
}

int dcc_apart_or_in_place(const dcc_tensor *input, const dcc_tensor *output) {
    return (input->at == output->at && dcc_same_shape(input, output)) || !dcc_tensors_overlap(input, output);
}

/* If it is so of the first and of the last pixel, it is so of all. */
int dcc_pixels_follow(const dcc_operator *operator) {
    const dcc_tensor *const x = &operator->input;
    const dcc_tensor *const y = &operator->output;
    return dcc_is_point(&operator->window) && dcc_same_size(x, y) && operator->conv.filters_at_once == y->channels &&
           y->at + y->channels <= x->at + x->channels && y->at + dcc_tensor_bytes(y) <= x->at + dcc_tensor_bytes(x);
}

/* From 1 to 255; what a number above 2^31 has become in an int32_t is neither. */
static int is_count(int32_t value) { return value >= 1 && value <= 255; }

static int axis_valid(const dcc_axis *axis) {
    return is_count(axis->kernel) && is_count(axis->stride) && is_count(axis->dilation) && axis->padding >= 0 &&
           axis->padding <= 255;
}

/* Padding behind the image along a valid axis; negative where windows do not reach its end. Below 2^25. */
static int32_t needed(const dcc_axis *axis, uint32_t input_size, uint32_t output_size) {
    return ((int32_t)output_size - 1) * axis->stride + dcc_extent(axis) - axis->padding - (int32_t)input_size;
}

static int axis_fits(const dcc_axis *axis, uint32_t input_size, uint32_t output_size) {
    return axis_valid(axis) && needed(axis, input_size, output_size) <= 255;
}

int dcc_window_fits(const dcc_operator *operator) {
    return axis_fits(&operator->window.y, operator->input.height, operator->output.height) &&
           axis_fits(&operator->window.x, operator->input.width, operator->output.width);
}

static int taps_inside(const dcc_axis *axis, uint32_t input_size, uint32_t output_size) {
    return axis->padding < axis->kernel && needed(axis, input_size, output_size) < axis->kernel;
}

int dcc_pool_fits(const dcc_operator *operator) {
    return dcc_window_fits(operator) && operator->input.channels == operator->output.channels &&
           taps_inside(&operator->window.y, operator->input.height, operator->output.height) &&
           taps_inside(&operator->window.x, operator->input.width, operator->output.width);
}

int dcc_sum_valid(const dcc_operator *operator) {
    return dcc_is_16_bits(operator->multiplier) && dcc_is_16_bits(operator->second_multiplier) && operator->shift <= 31u;
}
