/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks a convolution: its window, the size of its data, and its scratch. Sizes that may exceed 32 bits are computed
 * in 64.
 */
#include "check.h"
#include "weights.h"

static uint32_t fullest_filter(dcc_weights weights, uint32_t filters, uint32_t filter_weights) {
    uint32_t most = 0u;
    uint32_t filter;
    for (filter = 0u; filter < filters; filter++) {
        uint32_t count = 0u;
        uint32_t i;
        for (i = 0u; i < filter_weights; i++) {
            if (dcc_next_weight(&weights) != 0) count++;
        }
        if (count > most) most = count;
    }
    return most;
}

static uint32_t count_ones(dcc_bits bits, uint32_t count) {
    uint32_t ones = 0u;
    uint32_t i;
    for (i = 0u; i < count; i++) ones += dcc_take_bits(&bits, 1u);
    return ones;
}

/* Whether the data of a convolution has exactly the size that its description asks for. */
static dcc_status check_data(
    const uint8_t *artifact, uint32_t artifact_bytes, const dcc_conv *conv, uint32_t filters, uint64_t weight_count) {
    const uint32_t codebook_end = dcc_codebook_offset(filters) + dcc_codebook_bytes(conv);
    uint64_t needed;
    uint32_t i;
    if (conv->data_at > artifact_bytes || conv->data_bytes > artifact_bytes - conv->data_at) {
        return DCC_ERROR_DATA_RANGE;
    }
    if (conv->encoding == DCC_DENSE) {
        needed = codebook_end + (weight_count * conv->bits + 7u) / 8u;
    } else {
        const uint64_t bitmap_end = codebook_end + (weight_count + 7u) / 8u;
        if (bitmap_end > conv->data_bytes) return DCC_ERROR_ENCODING;
        needed = count_ones(dcc_bits_at(artifact + conv->data_at + codebook_end), (uint32_t)weight_count);
        needed = bitmap_end + (needed * conv->bits + 7u) / 8u;
    }
    if (needed != conv->data_bytes) return DCC_ERROR_ENCODING;
    for (i = 0u; i < filters; i++) {
        if (!dcc_shift_valid(artifact[conv->data_at + 8u * filters + i])) return DCC_ERROR_REQUANTISATION;
    }
    return DCC_OK;
}

static dcc_status check_scratch(
    const dcc_operator *operator, const dcc_conv *conv, uint32_t arena_bytes, uint32_t needed) {
    const dcc_tensor *input = &operator->input;
    const dcc_tensor *output = &operator->output;
    if (conv->scratch_at % DCC_ALIGNMENT != 0u || conv->scratch_at > arena_bytes ||
        conv->scratch_bytes > arena_bytes - conv->scratch_at || conv->scratch_bytes < needed) {
        return DCC_ERROR_ARENA_RANGE;
    }
    if (dcc_tensors_overlap(input, output) ||
        dcc_overlap(conv->scratch_at, conv->scratch_bytes, input->at, dcc_tensor_bytes(input)) ||
        dcc_overlap(conv->scratch_at, conv->scratch_bytes, output->at, dcc_tensor_bytes(output))) {
        return DCC_ERROR_ARENA_RANGE;
    }
    return DCC_OK;
}

dcc_status dcc_check_conv(
    const uint8_t *artifact, uint32_t artifact_bytes, uint32_t arena_bytes, const dcc_operator *operator,
    const dcc_conv *conv) {
    const uint32_t filters = operator->output.channels;
    const uint32_t channels = operator->input.channels;
    const uint32_t taps = (uint32_t)(conv->window.y.kernel * conv->window.x.kernel);
    uint32_t group_channels;
    uint32_t filter_weights;
    uint32_t nonzeros;
    uint8_t narrow_codes[DCC_NARROW_CODES];
    dcc_status status;
    if (channels > 65535u || !dcc_window_fits(&conv->window, operator)) return DCC_ERROR_SHAPE;
    if (conv->groups == 0u || channels % conv->groups != 0u || filters % conv->groups != 0u) return DCC_ERROR_SHAPE;
    if (conv->bits > conv->code_bits || (conv->encoding == DCC_DENSE && conv->bits == 0u)) return DCC_ERROR_ENCODING;
    group_channels = channels / conv->groups;
    if ((uint64_t)taps * group_channels > DCC_MAX_FILTER_WEIGHTS) return DCC_ERROR_SHAPE;
    if ((uint64_t)(dcc_extent(&conv->window.x) - 1) * channels + group_channels > 65536u) return DCC_ERROR_SHAPE;
    filter_weights = taps * group_channels; /* times filters: below 2^32 */
    status = check_data(artifact, artifact_bytes, conv, filters, (uint64_t)filters * filter_weights);
    if (status != DCC_OK) return status;
    nonzeros = fullest_filter(
        dcc_weights_at(artifact + conv->data_at, conv, filters, filters * filter_weights, narrow_codes), filters,
        filter_weights);
    return check_scratch(operator, conv, arena_bytes, dcc_scratch_bytes(taps, nonzeros));
}
