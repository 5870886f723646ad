/* SPDX-License-Identifier: Apache-2.0
 *
 * DEPTHWISE's inner loops for NEON. The 4 planes lie in one another: the values of the 4 channels at a position are
 * neighbours, and so are their weights for a tap.
 */
#ifndef DCC_CONV_DEPTHWISE_NEON_H
#define DCC_CONV_DEPTHWISE_NEON_H

/* Up to 4 int8 as int16; the others are 0. */
DCC_NEON_INLINE int16x4_t dcc_depthwise_load(const int8_t *from, uint32_t count) {
    uint32_t word = 0u;
    memcpy(&word, from, count);
    return vget_low_s16(vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(word))));
}

DCC_NEON_INLINE void dcc_depthwise_widen_pixels(
    const int8_t *x, uint32_t step, uint32_t channels, int16_t *to, uint32_t count) {
    for (; count > 0u; count--, x += step, to += 4) vst1_s16(to, dcc_depthwise_load(x, channels));
}

/* taps: of all channels, one after the other. */
static inline void dcc_depthwise_taps(dcc_weights *weights, uint32_t channels, uint32_t count, int16_t *taps) {
    uint32_t channel;
    for (channel = 0u; channel < channels; channel++) {
        int16_t *to = taps + channel;
        uint32_t left = count;
        while (left > 0u) {
            int16_t chunk[32];
            const uint32_t part = left < 32u ? left : 32u;
            uint32_t i;
            dcc_take_weights(weights, chunk, part);
            for (i = 0u; i < part; i++, to += 4) *to = chunk[i];
            left -= part;
        }
    }
}

/* Where a tile's first tap lies, and how the others follow, in values of all channels. */
typedef struct {
    uint32_t kernel_y;
    uint32_t kernel_x;
    size_t row;    /* from row to row */
    size_t stride; /* from output to output */
} dcc_depthwise_steps;

DCC_NEON_INLINE void dcc_depthwise_sums(
    const int16_t *x, const int16_t *tap, const dcc_depthwise_steps *steps, int32x4_t sums[DCC_DEPTHWISE_OUTPUTS]) {
    uint32_t row;
    uint32_t i;
    for (i = 0u; i < DCC_DEPTHWISE_OUTPUTS; i++) sums[i] = vdupq_n_s32(0);
    for (row = 0u; row < steps->kernel_y; row++, x += steps->row) {
        const int16_t *at = x;
        const int16_t *const end = x + 4u * steps->kernel_x;
        for (; at != end; at += 4, tap += 4) {
            const int16x4_t weights = vld1_s16(tap);
            for (i = 0u; i < DCC_DEPTHWISE_OUTPUTS; i++) {
                sums[i] = vmlal_s16(sums[i], vld1_s16(at + steps->stride * i), weights);
            }
        }
    }
}

/* Finishes two outputs of up to 4 channels, which lie at `at`; one that is `outside` is left out. */
DCC_NEON_INLINE void dcc_depthwise_finish(
    const dcc_conv_job *job, const dcc_neon_finish *finish, const dcc_neon_channels channels[2], uint32_t count,
    const int32x4_t sums[2], const size_t at[2], const int present[2]) {
    int8x8_t values = dcc_neon_finish_8(finish, channels, sums[0], sums[1]);
    uint32_t words[2];
    uint32_t i;
    if (job->residual.x != NULL) {
        words[0] = words[1] = 0u;
        for (i = 0u; i < 2u; i++) {
            if (present[i]) memcpy(&words[i], job->residual.x + at[i], count);
        }
        values = dcc_neon_add(finish, &job->residual, values, vreinterpret_s8_u32(vld1_u32(words)));
    }
    words[0] = vget_lane_u32(vreinterpret_u32_s8(values), 0);
    words[1] = vget_lane_u32(vreinterpret_u32_s8(values), 1);
    for (i = 0u; i < 2u; i++) {
        if (present[i]) memcpy(job->y + at[i], &words[i], count);
    }
}

/* All tiles of up to 4 channels. origin: of the first tile's first tap. y_at: of the band's first output. */
DCC_NEON_INLINE void dcc_depthwise_tiles_of(
    const dcc_conv_job *job, const dcc_depthwise_tile *tile, uint32_t outside, const dcc_depthwise_steps *steps,
    const int16_t *origin, const int16_t *taps, const dcc_neon_channels *four, uint32_t count, size_t y_at) {
    const dcc_neon_finish finish = dcc_neon_finish_of(job);
    dcc_neon_channels channels[2];
    channels[0] = channels[1] = *four;
    for (; tile->x != 0u; tile++) {
        int32x4_t sums[DCC_DEPTHWISE_OUTPUTS];
        uint32_t i;
        dcc_depthwise_sums(origin + 4u * (size_t)((tile->x - 4u) / 2u), taps, steps, sums);
        for (i = 0u; i < DCC_DEPTHWISE_OUTPUTS; i += 2u) {
            const size_t at[2] = {y_at + tile->y[i], y_at + tile->y[i + 1u]};
            const int present[2] = {tile->y[i] != outside, tile->y[i + 1u] != outside};
            dcc_depthwise_finish(job, &finish, channels, count, sums + i, at, present);
        }
    }
}

#endif
