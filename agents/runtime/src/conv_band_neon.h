/* SPDX-License-Identifier: Apache-2.0
 *
 * BAND's inner loops for NEON.
 */
#ifndef DCC_CONV_BAND_NEON_H
#define DCC_CONV_BAND_NEON_H

/* Of 8 pixels, each in two parts. */
DCC_NEON_INLINE void dcc_band_tile_sums(
    const dcc_band_entry *entry, const dcc_band_entry *end, const uint32_t *origin, int32x4_t sums[2]) {
    const uint8_t *at = (const uint8_t *)origin;
    int32x4_t parts[4];
    uint32_t i;
    for (i = 0u; i < 4u; i++) parts[i] = vdupq_n_s32(0);
    for (; entry != end; entry++) {
        const int16x4_t weights = vreinterpret_s16_u32(vld1_dup_u32(&entry->weights));
        int16x8_t x;
        at += entry->delta;
        x = vreinterpretq_s16_u32(vld1q_u32((const uint32_t *)(const void *)at));
        parts[0] = vmlal_s16(parts[0], vget_low_s16(x), weights);
        parts[1] = vmlal_s16(parts[1], vget_high_s16(x), weights);
        x = vreinterpretq_s16_u32(vld1q_u32((const uint32_t *)(const void *)(at + 16)));
        parts[2] = vmlal_s16(parts[2], vget_low_s16(x), weights);
        parts[3] = vmlal_s16(parts[3], vget_high_s16(x), weights);
        at += 4u * DCC_BAND_PIXELS;
    }
    for (i = 0u; i < 2u; i++) {
        const int32x4_t first = parts[2u * i];
        const int32x4_t second = parts[2u * i + 1u];
        sums[i] = vcombine_s32(
            vpadd_s32(vget_low_s32(first), vget_high_s32(first)),
            vpadd_s32(vget_low_s32(second), vget_high_s32(second)));
    }
}

/* Finishes the pixels from `first` to before 8 of those whose first lies at `at`, and no more than `count`. */
DCC_NEON_INLINE void dcc_band_finish(
    const dcc_conv_job *job, const dcc_neon_finish *finish, dcc_channel channel, const int32x4_t sums[2], size_t at,
    uint32_t first, uint32_t count) {
    const size_t step = job->output_channels;
    const uint32_t end = first + count < DCC_BAND_PIXELS ? first + count : DCC_BAND_PIXELS;
    dcc_neon_channels channels[2];
    int8_t bytes[DCC_BAND_PIXELS] = {0};
    int8x8_t values;
    uint32_t i;
    channels[0] = channels[1] = dcc_neon_channel_of(channel);
    values = dcc_neon_finish_8(finish, channels, sums[0], sums[1]);
    if (job->residual.x != NULL) {
        for (i = first; i < end; i++) bytes[i] = job->residual.x[at + step * i];
        values = dcc_neon_add(finish, &job->residual, values, vld1_s8(bytes));
    }
    vst1_s8(bytes, values);
    for (i = first; i < end; i++) job->y[at + step * i] = bytes[i];
}

/* 4 int8 of each of 2 pixels. */
DCC_NEON_INLINE int16x8_t dcc_band_two(const int8_t *x, uint32_t step) {
    uint32_t words[2];
    memcpy(&words[0], x, 4u);
    memcpy(&words[1], x + step, 4u);
    return vmovl_s8(vreinterpret_s8_u32(vset_lane_u32(words[1], vdup_n_u32(words[0]), 1)));
}

/* Widens 4 channels of 4 pixels, `step` bytes apart, into the rows of two pairs, `next` words apart. */
DCC_NEON_INLINE void dcc_band_widen_four(const int8_t *x, uint32_t step, uint32_t *to, uint32_t next) {
    const int16x8x2_t words = vuzpq_s16(dcc_band_two(x, step), dcc_band_two(x + 2u * step, step));
    vst1q_u32(to, vreinterpretq_u32_s16(words.val[0]));
    vst1q_u32(to + next, vreinterpretq_u32_s16(words.val[1]));
}

#endif
