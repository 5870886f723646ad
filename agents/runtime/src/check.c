/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks one operator so that its kernel can trust every size and offset. dccdka/packing/checks.py makes the same
 * checks in the same order. Sizes that may exceed 32 bits are computed in 64.
 */
#include "check.h"

static int same_size(const dcc_tensor *a, const dcc_tensor *b) { return a->height == b->height && a->width == b->width; }

static int same_shape(const dcc_tensor *a, const dcc_tensor *b) {
    return same_size(a, b) && a->channels == b->channels;
}

static int axis_fits(const dcc_axis *axis, uint32_t input_size, uint32_t output_size) {
    if (axis->kernel == 0 || axis->stride == 0 || axis->dilation == 0) return 0;
    return dcc_needed(axis, input_size, output_size) <= 255;
}

int dcc_window_fits(const dcc_window *window, const dcc_operator *operator) {
    return axis_fits(&window->y, operator->input.height, operator->output.height) &&
           axis_fits(&window->x, operator->input.width, operator->output.width);
}

/* In place means exactly on top, by a tensor of the same shape. */
static int apart_or_in_place(const dcc_tensor *input, const dcc_tensor *output) {
    return (input->at == output->at && same_shape(input, output)) || !dcc_tensors_overlap(input, output);
}

static int pair_fits(const dcc_operator *operator, const dcc_tensor *second) {
    const dcc_tensor *first = &operator->input;
    const dcc_tensor *output = &operator->output;
    if (operator->kind == DCC_CONCATENATE) {
        return same_size(first, output) && same_size(second, output) &&
               first->channels + second->channels == output->channels;
    }
    if (!same_shape(first, output)) return 0;
    if (same_shape(second, output)) return 1;
    return operator->kind == DCC_MULTIPLY && second->height == 1u && second->width == 1u &&
           second->channels == output->channels;
}

static dcc_status check_pair(const dcc_operator *operator, const dcc_pair *pair) {
    if (!pair_fits(operator, &pair->second)) return DCC_ERROR_SHAPE;
    if (!dcc_shift_valid(pair->shift)) return DCC_ERROR_REQUANTISATION;
    /* Where channels are joined, no input has the output's shape: none may lie on it. */
    if (!apart_or_in_place(&operator->input, &operator->output) ||
        !apart_or_in_place(&pair->second, &operator->output)) {
        return DCC_ERROR_ARENA_RANGE;
    }
    return DCC_OK;
}

/* Every window has a tap inside the image. */
static int taps_inside(const dcc_axis *axis, uint32_t input_size, uint32_t output_size) {
    return axis->padding < axis->kernel && dcc_needed(axis, input_size, output_size) < axis->kernel;
}

static dcc_status check_pool(const dcc_operator *operator, const dcc_pool *pool) {
    const dcc_tensor *input = &operator->input;
    const dcc_tensor *output = &operator->output;
    if (!dcc_window_fits(&pool->window, operator) || input->channels != output->channels ||
        !taps_inside(&pool->window.y, input->height, output->height) ||
        !taps_inside(&pool->window.x, input->width, output->width)) {
        return DCC_ERROR_SHAPE;
    }
    if (operator->kind == DCC_AVERAGE_POOL && !dcc_shift_valid(pool->shift)) return DCC_ERROR_REQUANTISATION;
    return dcc_tensors_overlap(input, output) ? DCC_ERROR_ARENA_RANGE : DCC_OK;
}

static dcc_status check_pad(const dcc_operator *operator, const dcc_pad *pad) {
    const dcc_tensor *input = &operator->input;
    const dcc_tensor *output = &operator->output;
    if (input->channels != output->channels || pad->top + input->height > output->height ||
        pad->left + input->width > output->width) {
        return DCC_ERROR_SHAPE;
    }
    return dcc_tensors_overlap(input, output) ? DCC_ERROR_ARENA_RANGE : DCC_OK;
}

/* ReLU, and with a table of so many bytes lookup and softmax. */
static dcc_status check_elementwise(
    const dcc_operator *operator, uint32_t artifact_bytes, uint32_t table_at, uint32_t table_bytes) {
    if (!same_shape(&operator->input, &operator->output)) return DCC_ERROR_SHAPE;
    if (table_at > artifact_bytes || table_bytes > artifact_bytes - table_at) return DCC_ERROR_DATA_RANGE;
    return apart_or_in_place(&operator->input, &operator->output) ? DCC_OK : DCC_ERROR_ARENA_RANGE;
}

static dcc_status check_argmax(const dcc_operator *operator) {
    const dcc_tensor *input = &operator->input;
    const dcc_tensor *output = &operator->output;
    if (!same_size(input, output) || output->channels != 1u || input->channels > 256u) return DCC_ERROR_SHAPE;
    return dcc_tensors_overlap(input, output) ? DCC_ERROR_ARENA_RANGE : DCC_OK;
}

dcc_status dcc_check_operator(
    const uint8_t *artifact, uint32_t artifact_bytes, uint32_t arena_bytes, const uint8_t *record) {
    const dcc_operator operator = dcc_read_operator(artifact, record);
    if (operator.low > operator.high) return DCC_ERROR_REQUANTISATION;
    switch (operator.kind) {
    case DCC_CONV: {
        const dcc_conv conv = dcc_read_conv(record);
        return dcc_check_conv(artifact, artifact_bytes, arena_bytes, &operator, &conv);
    }
    case DCC_ADD:
    case DCC_MULTIPLY:
    case DCC_CONCATENATE: {
        const dcc_pair pair = dcc_read_pair(artifact, record);
        return check_pair(&operator, &pair);
    }
    case DCC_AVERAGE_POOL:
    case DCC_MAX_POOL: {
        const dcc_pool pool = dcc_read_pool(record);
        return check_pool(&operator, &pool);
    }
    case DCC_PAD: {
        const dcc_pad pad = dcc_read_pad(record);
        return check_pad(&operator, &pad);
    }
    case DCC_LOOKUP: return check_elementwise(&operator, artifact_bytes, dcc_table_at(record), DCC_LOOKUP_BYTES);
    case DCC_SOFTMAX: {
        const uint32_t at = dcc_table_at(record);
        const dcc_status status = check_elementwise(&operator, artifact_bytes, at, DCC_EXPONENTIALS_BYTES);
        if (status == DCC_OK && dcc_u16(artifact + at) != DCC_FIRST_EXPONENTIAL) return DCC_ERROR_REQUANTISATION;
        return status;
    }
    case DCC_ARGMAX: return check_argmax(&operator);
    default: return check_elementwise(&operator, artifact_bytes, 0u, 0u);
    }
}
