/* SPDX-License-Identifier: Apache-2.0
 *
 * The steps of a convolution: its record, the check of it, and how its data are divided.
 */
#ifndef DCC_CONVOLUTION_H
#define DCC_CONVOLUTION_H

#include "operators.h"

dcc_status dcc_check_convolution(dcc_operator *operator, const dcc_model *model);

static inline uint32_t dcc_encoding_of(const dcc_operator *operator) { return operator->conv.weight_form.encoding; }

static inline uint32_t dcc_taps(const dcc_operator *operator) {
    return (uint32_t)(operator->window.y.kernel * operator->window.x.kernel);
}

static inline uint32_t dcc_group_channels(const dcc_operator *operator) {
    return operator->input.channels / operator->conv.groups;
}

static inline uint32_t dcc_filter_weights(const dcc_operator *operator) {
    return dcc_taps(operator) * dcc_group_channels(operator);
}

/* Weights of a RAW filter with what fills up its rows; at most 65535 + 3 * 255. */
static inline uint32_t dcc_raw_filter_weights(const dcc_operator *operator) {
    const uint32_t row = (uint32_t)operator->window.x.kernel * dcc_group_channels(operator);
    return (uint32_t)operator->window.y.kernel * dcc_round_up(row, 4u);
}

/* Bytes from the data's begin to the weights. */
uint32_t dcc_weights_offset(const dcc_operator *operator);

/* Positions the weights at the first; 0 if their description is not valid. Not for RAW. */
int dcc_open_weights(
    dcc_weights *weights, const dcc_operator *operator, const dcc_model *model, dcc_weight_tables *tables);

/* Sum of |weight| of the RAW filter where it is largest. */
uint32_t dcc_raw_magnitude(const dcc_operator *operator);

/* Decodes all weights; 0 if they do not end where the data do. Not for RAW. */
int dcc_total_weights(dcc_weight_totals *totals, const dcc_operator *operator, dcc_weights *weights);

#endif
