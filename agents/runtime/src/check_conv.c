/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks a convolution: its shapes, its kernel, its data, and its scratch.
 */
#include "check.h"
#include "convolution.h"

static int shapes_fit(const dcc_operator *operator) {
    const uint32_t channels = operator->input.channels;
    const uint32_t filters = operator->output.channels;
    const uint32_t groups = operator->conv.groups;
    if (channels > 65535u || !dcc_window_fits(operator)) return 0;
    if (groups == 0u || channels % groups != 0u || filters % groups != 0u) return 0;
    if ((operator->kind_byte & DCC_RESIDUAL) != 0u && !dcc_same_shape(&operator->second, &operator->output)) return 0;
    return (uint64_t)dcc_taps(operator) * dcc_group_channels(operator) <= DCC_MAX_FILTER_WEIGHTS;
}

static int numbers_valid(const dcc_operator *operator) {
    const dcc_conv *conv = &operator->conv;
    const uint32_t form = conv->channel_form.form;
    return dcc_sum_valid(operator) && conv->residual_low <= conv->residual_high && form <= DCC_WIDE &&
           conv->channel_form.bias_shift <= 31u;
}

static int indices_valid(const dcc_operator *operator) {
    const dcc_weight_form *form = &operator->conv.weight_form;
    const uint32_t most = form->encoding == DCC_CODED ? DCC_SYMBOL_BITS : 8u;
    if (form->encoding == DCC_RAW) return 1;
    if (form->encoding != DCC_BITMAP && form->index_bits == 0u) return 0;
    return form->index_bits <= most && form->gap_bits <= (form->index_bits < 8u ? 8u : 0u);
}

static int padding_is_zero(const dcc_conv *conv) {
    const uint8_t *byte;
    for (byte = conv->padding; byte != conv->data; byte++) {
        if (*byte != 0u) return 0;
    }
    return 1;
}

static int data_fit(const dcc_operator *operator, const dcc_model *model, dcc_weight_totals *totals) {
    const dcc_conv *conv = &operator->conv;
    const uint32_t bytes = (uint32_t)(conv->data_end - conv->data);
    const uint32_t offset = dcc_weights_offset(operator);
    dcc_weight_tables tables;
    dcc_weights weights;
    /* At most 65535 x 65535. */
    if (operator->output.channels * dcc_filter_weights(operator) > DCC_MAX_WEIGHTS) return 0;
    if (offset > bytes) return 0;
    if (dcc_encoding_of(operator) == DCC_RAW) {
        const uint32_t pairs = (operator->output.channels + 1u) / 2u;
        if ((uint64_t)pairs * dcc_raw_filter_weights(operator) * 2u != bytes - offset) return 0;
        totals->magnitude = dcc_raw_magnitude(operator);
        return 1;
    }
    return dcc_open_weights(&weights, operator, model, &tables) && dcc_total_weights(totals, operator, &weights);
}

static int overwrites(const dcc_operator *operator, const dcc_model *model) {
    const dcc_kernel *kernel = model->operators->kernels[dcc_kernel_of(operator)];
    return kernel->overwrites != NULL && kernel->overwrites(operator);
}

static dcc_status check_places(dcc_operator *operator, const dcc_model *model, uint64_t scratch_bytes) {
    const dcc_tensor *output = &operator->output;
    const dcc_tensor *read[2];
    const uint32_t scratch_at = 4u * operator->conv.scratch_words;
    const uint32_t read_count = (operator->kind_byte & DCC_RESIDUAL) != 0u ? 2u : 1u;
    uint32_t bytes;
    uint32_t i;
    if (operator->conv.scratch_words > model->arena_bytes / 4u || scratch_bytes > model->arena_bytes - scratch_at) {
        return DCC_ERROR_ARENA_RANGE;
    }
    bytes = (uint32_t)scratch_bytes;
    operator->conv.scratch_bytes = bytes;
    if (dcc_tensors_overlap(&operator->input, output) && !overwrites(operator, model)) return DCC_ERROR_ARENA_RANGE;
    if (read_count == 2u && !dcc_apart_or_in_place(&operator->second, output)) return DCC_ERROR_ARENA_RANGE;
    if (dcc_overlap(scratch_at, bytes, output->at, dcc_tensor_bytes(output))) return DCC_ERROR_ARENA_RANGE;
    read[0] = &operator->input;
    read[1] = &operator->second;
    for (i = 0u; i < read_count; i++) {
        if (dcc_overlap(scratch_at, bytes, read[i]->at, dcc_tensor_bytes(read[i]))) return DCC_ERROR_ARENA_RANGE;
    }
    return DCC_OK;
}

dcc_status dcc_check_convolution(dcc_operator *operator, const dcc_model *model) {
    const dcc_conv *conv = &operator->conv;
    const uint32_t number = dcc_kernel_of(operator);
    const uint32_t encoding = dcc_encoding_of(operator);
    const dcc_kernel *kernel;
    dcc_weight_totals totals = {0u, 0u, 0u};
    if (!shapes_fit(operator)) return DCC_ERROR_SHAPE;
    if (!numbers_valid(operator)) return DCC_ERROR_REQUANTISATION;
    if (number >= DCC_KERNELS) return DCC_ERROR_OPERATOR;
    kernel = model->operators->kernels[number];
    if (kernel == NULL || (encoding != DCC_RAW && model->operators->encodings[encoding] == NULL)) {
        return DCC_ERROR_OPERATOR;
    }
    if ((conv->kernel_bits & 0xc8u) != 0u || !indices_valid(operator)) return DCC_ERROR_ENCODING;
    if (conv->filters_at_once - 1u >= operator->output.channels || conv->rows_at_once - 1u >= operator->output.height ||
        !kernel->takes(operator)) {
        return DCC_ERROR_SHAPE;
    }
    if (!padding_is_zero(conv) || !data_fit(operator, model, &totals)) return DCC_ERROR_ENCODING;
    if ((number == DCC_TILE || number == DCC_VECTOR) && totals.magnitude > 65535u) return DCC_ERROR_ENCODING;
    return check_places(operator, model, kernel->scratch(operator, &totals));
}
