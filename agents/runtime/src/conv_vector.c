/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution whose output is one pixel, such as a fully connected layer: pairs of filters, straight from RAW codes.
 * conv_tile.h says how two filters are summed at once.
 */
#include "conv.h"
#include "neon.h"
#if DCC_NEON
#include "conv_vector_neon.h"

void dcc_conv_vector(const dcc_conv_job *job) { dcc_vector_run(job); }

#else
#include "conv_vector_dsp.h"

typedef struct {
    const int8_t *x;
    uint32_t rows;
    uint32_t row_inputs;
    uint32_t pair_bytes; /* of codes, as are row_bytes */
    uint32_t row_bytes;
} image;

/* Adds the last 0 to 4 inputs of a group to the sums of the even and the odd filter. */
static void add_group(const int8_t *x, uint32_t inputs, const uint8_t *codes, uint32_t sums[2]) {
    static const uint8_t places[4] = {0u, 4u, 2u, 6u};
    uint32_t i;
    for (i = 0u; i < inputs; i++) {
        const int32_t even = codes[places[i]];
        const int32_t odd = (int8_t)codes[places[i] + 1u];
        sums[0] += (uint32_t)(even * x[i]);
        sums[1] += (uint32_t)(odd * x[i]);
    }
}

#if !DCC_DSP
static void add_groups(const int8_t *x, uint32_t groups, const uint8_t *codes, uint32_t sums[2]) {
    for (; groups > 0u; groups--) {
        add_group(x, 4u, codes, sums);
        x += 4;
        codes += 8;
    }
}
#endif

/* sums: of each filter. */
static void sum_pairs(const image *from, const uint8_t *codes, uint32_t pairs, uint32_t sums[DCC_VECTOR_FILTERS]) {
    const int8_t *x = from->x;
    uint32_t row;
    uint32_t pair;
    for (row = 0u; row < from->rows; row++) {
        const uint32_t groups = from->row_inputs / 4u;
#if DCC_DSP
        if (pairs == 3u) dcc_vector_add(x, groups, codes, from->pair_bytes, pairs, sums);
#endif
        for (pair = 0u; pair < pairs; pair++) {
            const uint8_t *const of_pair = codes + from->pair_bytes * pair;
#if DCC_DSP
            if (pairs != 3u) dcc_vector_add(x, groups, of_pair, 0u, 1u, sums + 2u * pair);
#else
            add_groups(x, groups, of_pair, sums + 2u * pair);
#endif
            add_group(x + 4u * groups, from->row_inputs % 4u, of_pair + 8u * groups, sums + 2u * pair);
        }
        x += from->row_inputs;
        codes += from->row_bytes;
    }
}

static int32_t sum_of(const int8_t *x, uint32_t count) {
    int32_t sum = 0;
#if DCC_DSP
    for (; count >= 4u; count -= 4u, x += 4) {
        sum = dcc_smlad(dcc_sxtb16(dcc_word(x)), 0x00010001u, sum);
        sum = dcc_smlad(dcc_sxtb16_8(dcc_word(x)), 0x00010001u, sum);
    }
#endif
    for (; count > 0u; count--) sum += *x++;
    return sum;
}

void dcc_conv_vector(const dcc_conv_job *job) {
    const uint32_t zero_point = (uint32_t)job->weight_zero_point;
    const uint32_t filters = job->output_channels;
    dcc_channels channels = job->channels;
    uint32_t filter = 0u;
    image from;
    uint32_t sum;
    from.x = job->x;
    from.rows = job->input_height;
    from.row_inputs = job->input_width * job->input_channels;
    from.row_bytes = dcc_round_up(from.row_inputs, 4u) * 2u;
    from.pair_bytes = from.row_bytes * from.rows;
    sum = (uint32_t)sum_of(from.x, from.rows * from.row_inputs);
#if DCC_DSP
    if (from.row_inputs % 4u == 0u) {
        filter = dcc_vector_whole(job, from.rows * from.row_inputs / 4u, from.pair_bytes, sum, &channels);
    }
#endif
    for (; filter < filters; filter += DCC_VECTOR_FILTERS) {
        const uint32_t count = filters - filter < DCC_VECTOR_FILTERS ? filters - filter : DCC_VECTOR_FILTERS;
        uint32_t sums[DCC_VECTOR_FILTERS];
        uint32_t i;
        for (i = 0u; i < DCC_VECTOR_FILTERS; i++) sums[i] = (i % 2u * 128u - zero_point) * sum;
        sum_pairs(&from, job->raw + from.pair_bytes / 2u * filter, (count + 1u) / 2u, sums);
        for (i = 0u; i < count; i++) {
            const dcc_channel channel = dcc_next_channel(&channels);
            job->y[filter + i] = dcc_finish(job, &channel, (int32_t)sums[i], filter + i);
        }
    }
}

#endif
