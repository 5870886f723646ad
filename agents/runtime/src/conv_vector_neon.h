/* SPDX-License-Identifier: Apache-2.0
 *
 * conv_vector.c's loops for NEON: 4 pairs of filters at once, 8 inputs at a time. As in conv_tile_neon.h, the even
 * filters' codes are taken for signed too.
 */
#ifndef DCC_CONV_VECTOR_NEON_H
#define DCC_CONV_VECTOR_NEON_H

#define DCC_VECTOR_PAIRS 4u
#define DCC_VECTOR_FILTERS 8u

static inline int32_t dcc_vector_sum(const int8_t *x, uint32_t count) {
    int32x4_t sums = vdupq_n_s32(0);
    int32x2_t both;
    for (; count >= 8u; count -= 8u, x += 8) sums = vpadalq_s16(sums, vmovl_s8(vld1_s8(x)));
    sums = vpadalq_s16(sums, vmovl_s8(dcc_neon_load(x, count & 7u)));
    both = vadd_s32(vget_low_s32(sums), vget_high_s32(sums));
    return vget_lane_s32(vpadd_s32(both, both), 0);
}

/* 8 inputs in the order of RAW, and their codes. */
DCC_NEON_INLINE void dcc_vector_eight(int8x8_t x, int8x8x2_t codes, int32x4_t sums[2]) {
    const int8x8_t even = veor_s8(codes.val[0], vdup_n_s8(-128));
    sums[0] = vpadalq_s16(sums[0], vmull_s8(even, x));
    sums[1] = vpadalq_s16(sums[1], vmull_s8(codes.val[1], x));
}

/* A row of inputs, whose codes lie pair_bytes apart. codes: of the pairs; sums: of each filter, in 4 parts. */
DCC_NEON_INLINE void dcc_vector_row(
    const int8_t *x, uint32_t inputs, const int8_t *const codes[DCC_VECTOR_PAIRS],
    int32x4_t sums[DCC_VECTOR_PAIRS][2]) {
    static const uint8_t places[8] = {0u, 2u, 1u, 3u, 4u, 6u, 5u, 7u};
    const uint8x8_t order = vld1_u8(places);
    uint32_t at = 0u;
    uint32_t i;
    for (; at + 8u <= inputs; at += 8u) {
        const int8x8_t eight = vreinterpret_s8_u8(vtbl1_u8(vreinterpret_u8_s8(vld1_s8(x + at)), order));
        for (i = 0u; i < DCC_VECTOR_PAIRS; i++) dcc_vector_eight(eight, vld2_s8(codes[i] + 2u * at), sums[i]);
    }
    for (; at < inputs; at += 4u) {
        const uint32_t left = inputs - at < 4u ? inputs - at : 4u;
        const int8x8_t four = vreinterpret_s8_u8(vtbl1_u8(vreinterpret_u8_s8(dcc_neon_load(x + at, left)), order));
        for (i = 0u; i < DCC_VECTOR_PAIRS; i++) {
            dcc_vector_eight(four, vuzp_s8(vld1_s8(codes[i] + 2u * at), vdup_n_s8(0)), sums[i]);
        }
    }
}

/* Pairs of 4 parts each to one sum for each filter. */
static inline int32x4_t dcc_vector_join(int32x4_t pairs[2][2]) {
    int32x2_t sums[4];
    uint32_t i;
    for (i = 0u; i < 4u; i++) {
        const int32x4_t parts = pairs[i / 2u][i % 2u];
        sums[i] = vadd_s32(vget_low_s32(parts), vget_high_s32(parts));
    }
    return vcombine_s32(vpadd_s32(sums[0], sums[1]), vpadd_s32(sums[2], sums[3]));
}

/* Filters from `filter` on, up to 8. start: of their sums. */
static inline void dcc_vector_filters(
    const dcc_conv_job *job, uint32_t filter, uint32_t count, int32_t start, dcc_channels *channels) {
    const dcc_neon_finish finish = dcc_neon_finish_of(job);
    const uint32_t row_inputs = job->input_width * job->input_channels;
    const uint32_t row_bytes = dcc_round_up(row_inputs, 4u) * 2u;
    const int8_t *x = job->x;
    const int8_t *codes[DCC_VECTOR_PAIRS];
    dcc_channel of_filters[DCC_VECTOR_FILTERS] = {{0, 0}};
    dcc_neon_channels fours[2];
    int32x4_t sums[DCC_VECTOR_PAIRS][2];
    int8x8_t values;
    uint32_t row;
    uint32_t i;
    for (i = 0u; i < DCC_VECTOR_PAIRS; i++) { /* pairs that are missing are computed like the last */
        const uint32_t pair = (filter + (2u * i < count ? 2u * i : count - 1u)) / 2u;
        codes[i] = (const int8_t *)job->raw + (size_t)row_bytes * job->input_height * pair;
        sums[i][0] = vsetq_lane_s32(start, vdupq_n_s32(0), 0);
        sums[i][1] = sums[i][0];
    }
    for (row = 0u; row < job->input_height; row++) {
        dcc_vector_row(x, row_inputs, codes, sums);
        x += row_inputs;
        for (i = 0u; i < DCC_VECTOR_PAIRS; i++) codes[i] += row_bytes;
    }
    dcc_take_channels(channels, of_filters, count);
    fours[0] = dcc_neon_channels_of(of_filters);
    fours[1] = dcc_neon_channels_of(of_filters + 4);
    values = dcc_neon_finish_8(&finish, fours, dcc_vector_join(sums), dcc_vector_join(sums + 2));
    if (job->residual.x != NULL) {
        values = dcc_neon_add(&finish, &job->residual, values, dcc_neon_load(job->residual.x + filter, count));
    }
    dcc_neon_store(job->y + filter, values, count);
}

static inline void dcc_vector_run(const dcc_conv_job *job) {
    const uint32_t inputs = job->input_height * job->input_width * job->input_channels;
    const int32_t start = (128 - job->weight_zero_point) * dcc_vector_sum(job->x, inputs);
    dcc_channels channels = job->channels;
    uint32_t filter;
    for (filter = 0u; filter < job->output_channels; filter += DCC_VECTOR_FILTERS) {
        const uint32_t left = job->output_channels - filter;
        dcc_vector_filters(job, filter, left < DCC_VECTOR_FILTERS ? left : DCC_VECTOR_FILTERS, start, &channels);
    }
}

#endif
