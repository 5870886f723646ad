/* SPDX-License-Identifier: Apache-2.0
 *
 * What all of a convolution's weights come to: what kernels need scratch for, and whether sums fit.
 */
#include "convolution.h"

static uint32_t magnitude(int32_t value) { return (uint32_t)(value < 0 ? -value : value); }

static uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }

uint32_t dcc_raw_magnitude(const dcc_operator *operator) {
    const uint32_t filters = operator->output.channels;
    const uint32_t row_weights = (uint32_t)operator->window.x.kernel * dcc_group_channels(operator);
    const int32_t zero_point = operator->conv.weight_form.zero_point;
    const uint8_t *next = operator->conv.data + dcc_weights_offset(operator);
    uint32_t most = 0u;
    uint32_t filter;
    for (filter = 0u; filter < filters; filter += 2u) {
        uint32_t sums[2] = {0u, 0u};
        int32_t row;
        for (row = 0; row < operator->window.y.kernel; row++) {
            uint32_t place; /* in the order in which halves lie: weights 0, 2, 1, 3 of each four */
            for (place = 0u; place < dcc_round_up(row_weights, 4u); place++, next += 2) {
                const uint32_t weight = (place & ~3u) + (place & 1u) * 2u + ((place >> 1) & 1u);
                if (weight >= row_weights) continue;
                sums[0] += magnitude(next[0] - zero_point);
                sums[1] += magnitude((next[1] ^ 0x80) - zero_point);
            }
        }
        most = larger(most, sums[0]);
        if (filter + 1u < filters) most = larger(most, sums[1]);
    }
    return most;
}

/* Adds what some weights of one tap, whose count is a multiple of 4, come to for their filter. */
static void add_weights(dcc_weight_totals *filter, const int16_t *weights, uint32_t count) {
    uint32_t i;
    for (i = 0u; i < count; i += 4u) {
        const int16_t *four = weights + i;
        filter->nonzeros += (uint32_t)(four[0] != 0) + (four[1] != 0) + (four[2] != 0) + (four[3] != 0);
        filter->entries += (uint32_t)((four[0] | four[2]) != 0) + ((four[1] | four[3]) != 0);
    }
}

#define CHUNK 32u

static void total_tap(dcc_weight_totals *filter, dcc_weights *weights, uint32_t channels) {
    while (channels > 0u) {
        int16_t chunk[CHUNK];
        const uint32_t count = channels < CHUNK ? channels : CHUNK;
        uint32_t i;
        dcc_take_weights(weights, chunk, count);
        for (i = 0u; i < count; i++) filter->magnitude += magnitude(chunk[i]);
        for (; i % 4u != 0u; i++) chunk[i] = 0;
        add_weights(filter, chunk, i);
        channels -= count;
    }
}

int dcc_total_weights(dcc_weight_totals *totals, const dcc_operator *operator, dcc_weights *weights) {
    const uint32_t taps = dcc_taps(operator);
    const uint32_t group_channels = dcc_group_channels(operator);
    uint32_t entries = 0u; /* of the group of filters that are decoded at once */
    uint32_t in_group = 0u;
    uint32_t filter;
    for (filter = 0u; filter < operator->output.channels; filter++) {
        dcc_weight_totals own = {0u, 0u, 0u};
        uint32_t tap;
        for (tap = 0u; tap < taps; tap++) total_tap(&own, weights, group_channels);
        if (dcc_weights_short(weights)) return 0; /* not a pass over weights that are not there */
        if (in_group == operator->conv.filters_at_once) {
            in_group = 0u;
            entries = 0u;
        }
        in_group++;
        entries += own.entries;
        totals->nonzeros = larger(totals->nonzeros, own.nonzeros);
        totals->entries = larger(totals->entries, entries);
        totals->magnitude = larger(totals->magnitude, own.magnitude);
    }
    return dcc_weights_ended(weights);
}
