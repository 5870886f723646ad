/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads a convolution's record and hands it to its kernel.
 */
#include "convolution.h"

#include "conv.h"
#include "record.h"

/* Zero to three bytes before the data, and the data. */
static void read_data(dcc_conv *conv, dcc_cursor *cursor, int aligned) {
    const uint32_t bytes = dcc_take_unsigned(cursor);
    const uint32_t padding = aligned ? (0u - (uint32_t)(uintptr_t)cursor->next) % DCC_ALIGNMENT : 0u;
    conv->padding = dcc_take_bytes(cursor, padding);
    conv->data = dcc_take_bytes(cursor, bytes);
    conv->data_end = cursor->next;
}

static void read(dcc_operator *operator, dcc_cursor *cursor) {
    dcc_conv *conv = &operator->conv;
    dcc_weight_form *weights = &conv->weight_form;
    dcc_read_window(&operator->window, cursor, DCC_CONV_WINDOW);
    conv->groups = dcc_take_unsigned(cursor);
    conv->kernel_bits = dcc_take_byte(cursor);
    conv->filters_at_once = dcc_take_unsigned(cursor);
    conv->rows_at_once = dcc_take_unsigned(cursor);
    conv->scratch_words = dcc_take_unsigned(cursor);
    if ((operator->kind_byte & DCC_RESIDUAL) != 0u) {
        operator->second_index = dcc_take_unsigned(cursor);
        operator->multiplier = dcc_take_signed(cursor);
        operator->second_multiplier = dcc_take_signed(cursor);
        operator->offset = dcc_take_signed(cursor);
        operator->shift = dcc_take_byte(cursor);
        conv->residual_low = dcc_take_i8(cursor);
        conv->residual_high = dcc_take_i8(cursor);
    }
    dcc_read_scaling(&operator->scaling, cursor);
    conv->channel_form.form = dcc_take_byte(cursor);
    if ((conv->channel_form.form & DCC_WIDE) == 0u) conv->channel_form.bias_shift = dcc_take_byte(cursor);
    weights->zero_point = (int32_t)dcc_take_byte(cursor);
    weights->encoding = (conv->kernel_bits >> 4) & 3u;
    if (weights->encoding != DCC_RAW) {
        const uint32_t byte = dcc_take_byte(cursor);
        weights->index_bits = byte & 15u;
        weights->gap_bits = byte >> 4;
    }
    read_data(conv, cursor, weights->encoding == DCC_RAW || (conv->channel_form.form & DCC_WIDE) != 0u);
}

uint32_t dcc_weights_offset(const dcc_operator *operator) {
    const uint32_t channels_bytes = dcc_channels_bytes(operator->conv.channel_form, operator->output.channels);
    return dcc_encoding_of(operator) == DCC_RAW ? dcc_round_up(channels_bytes, DCC_ALIGNMENT) : channels_bytes;
}

int dcc_open_weights(
    dcc_weights *weights, const dcc_operator *operator, const dcc_model *model, dcc_weight_tables *tables) {
    const dcc_conv *conv = &operator->conv;
    return model->operators->encodings[dcc_encoding_of(operator)]->open(
        weights, &conv->weight_form, conv->data + dcc_weights_offset(operator), conv->data_end,
        operator->output.channels * dcc_filter_weights(operator), tables);
}

static void run(const dcc_operator *operator, const dcc_model *model, uint8_t *arena) {
    const dcc_conv *conv = &operator->conv;
    const uint8_t *weights = conv->data + dcc_weights_offset(operator);
    dcc_weight_tables tables;
    dcc_conv_job job;
    job.x = dcc_input(&operator->input, arena);
    job.y = dcc_output(&operator->output, arena);
    job.input_height = operator->input.height;
    job.input_width = operator->input.width;
    job.input_channels = operator->input.channels;
    job.output_height = operator->output.height;
    job.output_width = operator->output.width;
    job.output_channels = operator->output.channels;
    job.input_zero_point = operator->input.zero_point;
    job.window = operator->window;
    job.groups = conv->groups;
    job.filters_at_once = conv->filters_at_once;
    job.rows_at_once = conv->rows_at_once;
    job.weight_zero_point = conv->weight_form.zero_point;
    job.raw = weights;
    if (dcc_encoding_of(operator) != DCC_RAW) {
        job.raw = NULL;
        (void)dcc_open_weights(&job.weights, operator, model, &tables);
    }
    dcc_open_channels(
        &job.channels, conv->data, conv->data_end, conv->channel_form, operator->output.zero_point,
        operator->scaling.fraction_bits);
    job.scaling = operator->scaling;
    job.residual.x = NULL;
    if ((operator->kind_byte & DCC_RESIDUAL) != 0u) {
        job.residual.x = dcc_input(&operator->second, arena);
        job.residual.multiplier = operator->multiplier;
        job.residual.residual_multiplier = operator->second_multiplier;
        job.residual.offset = operator->offset;
        job.residual.shift = operator->shift;
        job.residual.low = conv->residual_low;
        job.residual.high = conv->residual_high;
    }
    job.scratch = arena + 4u * conv->scratch_words;
    model->operators->kernels[dcc_kernel_of(operator)]->run(&job);
}

const dcc_kind dcc_kind_convolution = {
    DCC_CLAMPED | DCC_FLATTEN | DCC_RESIDUAL, 0, read, dcc_check_convolution, run};
