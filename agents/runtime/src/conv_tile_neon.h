/* SPDX-License-Identifier: Apache-2.0
 *
 * The inner loop of conv_tile.c for NEON: 4 output pixels x 8 filters. All codes are taken for signed, the even filters'
 * XOR 0x80 like the odd ones', so that all sums of a pixel start from the same.
 */
#ifndef DCC_CONV_TILE_NEON_H
#define DCC_CONV_TILE_NEON_H

#define DCC_TILE_FILTERS 8u

/* Of 4 pixels, those of filters 0 to 3 and 4 to 7. */
typedef struct {
    int32x4_t of[DCC_TILE_PIXELS][2];
} dcc_tile_accumulators;

DCC_NEON_INLINE void dcc_tile_multiply(
    dcc_tile_accumulators *sums, int16x4_t first, int16x4_t second, int16x4_t x) {
    sums->of[0][0] = vmlal_lane_s16(sums->of[0][0], first, x, 0);
    sums->of[0][1] = vmlal_lane_s16(sums->of[0][1], second, x, 0);
    sums->of[1][0] = vmlal_lane_s16(sums->of[1][0], first, x, 1);
    sums->of[1][1] = vmlal_lane_s16(sums->of[1][1], second, x, 1);
    sums->of[2][0] = vmlal_lane_s16(sums->of[2][0], first, x, 2);
    sums->of[2][1] = vmlal_lane_s16(sums->of[2][1], second, x, 2);
    sums->of[3][0] = vmlal_lane_s16(sums->of[3][0], first, x, 3);
    sums->of[3][1] = vmlal_lane_s16(sums->of[3][1], second, x, 3);
}

/* 4 inputs. first, second: codes of 4 filters for each. */
DCC_NEON_INLINE void dcc_tile_four(
    dcc_tile_accumulators *sums, int8x16_t first, int8x16_t second, const int16_t *x) {
    const int16x8_t first_low = vmovl_s8(vget_low_s8(first));
    const int16x8_t second_low = vmovl_s8(vget_low_s8(second));
    const int16x8_t first_high = vmovl_s8(vget_high_s8(first));
    const int16x8_t second_high = vmovl_s8(vget_high_s8(second));
    const int16x8_t x_low = vld1q_s16(x);
    const int16x8_t x_high = vld1q_s16(x + 8);
    dcc_tile_multiply(sums, vget_low_s16(first_low), vget_low_s16(second_low), vget_low_s16(x_low));
    dcc_tile_multiply(sums, vget_high_s16(first_low), vget_high_s16(second_low), vget_high_s16(x_low));
    dcc_tile_multiply(sums, vget_low_s16(first_high), vget_low_s16(second_high), vget_low_s16(x_high));
    dcc_tile_multiply(sums, vget_high_s16(first_high), vget_high_s16(second_high), vget_high_s16(x_high));
}

/* Two pairs' codes, a pair in 16 bits, one after the other for each input; signed. */
DCC_NEON_INLINE int8x16x2_t dcc_tile_zip(uint8x16_t pair, uint8x16_t next) {
    const uint8x16_t flip = vreinterpretq_u8_u16(vdupq_n_u16(0x80u));
    const int16x8x2_t both = vzipq_s16(
        vreinterpretq_s16_u8(veorq_u8(pair, flip)), vreinterpretq_s16_u8(veorq_u8(next, flip)));
    int8x16x2_t codes;
    codes.val[0] = vreinterpretq_s8_s16(both.val[0]);
    codes.val[1] = vreinterpretq_s8_s16(both.val[1]);
    return codes;
}

static inline uint8x16_t dcc_tile_half(const uint8_t *codes) { return vcombine_u8(vld1_u8(codes), vdup_n_u8(0u)); }

/* codes: of 4 pairs. */
DCC_NEON_INLINE dcc_tile_accumulators dcc_tile_sums(const dcc_patch *patch, const uint8_t *const codes[4]) {
    const int32_t *const start = (const int32_t *)(const void *)(patch->words + DCC_TILE_PIXELS);
    const int16_t *x = (const int16_t *)(const void *)(patch->words + DCC_PATCH_START);
    const uint8_t *a = codes[0];
    const uint8_t *b = codes[1];
    const uint8_t *c = codes[2];
    const uint8_t *d = codes[3];
    const uint8_t *const end = a + 2u * (patch->inputs & ~7u);
    dcc_tile_accumulators sums;
    uint32_t i;
    for (i = 0u; i < DCC_TILE_PIXELS; i++) {
        sums.of[i][0] = vdupq_n_s32(start[i]);
        sums.of[i][1] = sums.of[i][0];
    }
    for (; a != end; a += 16, b += 16, c += 16, d += 16, x += 32) {
        const int8x16x2_t first = dcc_tile_zip(vld1q_u8(a), vld1q_u8(b));
        const int8x16x2_t second = dcc_tile_zip(vld1q_u8(c), vld1q_u8(d));
        dcc_tile_four(&sums, first.val[0], second.val[0], x);
        dcc_tile_four(&sums, first.val[1], second.val[1], x + 16);
    }
    if (patch->inputs % 8u != 0u) {
        const int8x16x2_t first = dcc_tile_zip(dcc_tile_half(a), dcc_tile_half(b));
        const int8x16x2_t second = dcc_tile_zip(dcc_tile_half(c), dcc_tile_half(d));
        dcc_tile_four(&sums, first.val[0], second.val[0], x);
    }
    return sums;
}

/* All filters of a group at `pixels` pixels from `pixel` on. */
static inline void dcc_tile_filters(
    const dcc_conv_job *job, const dcc_patch *patch, const dcc_filters *group, uint32_t pixel, uint32_t pixels) {
    const dcc_neon_finish finish = dcc_neon_finish_of(job);
    uint32_t filter;
    for (filter = 0u; filter < group->count; filter += DCC_TILE_FILTERS) {
        const uint32_t left = group->count - filter;
        const uint32_t count = left < DCC_TILE_FILTERS ? left : DCC_TILE_FILTERS;
        const dcc_channel *of_filters = group->channels + filter;
        dcc_channel filled[DCC_TILE_FILTERS] = {{0, 0}};
        const uint8_t *codes[4];
        dcc_neon_channels channels[2];
        dcc_tile_accumulators sums;
        uint32_t i;
        for (i = 0u; i < 4u; i++) { /* pairs that are missing are computed like the last */
            codes[i] = group->codes + patch->inputs * (filter + (2u * i < count ? 2u * i : (count - 1u) & ~1u));
        }
        if (count < DCC_TILE_FILTERS) {
            memcpy(filled, of_filters, count * sizeof *filled);
            of_filters = filled;
        }
        channels[0] = dcc_neon_channels_of(of_filters);
        channels[1] = dcc_neon_channels_of(of_filters + 4);
        sums = dcc_tile_sums(patch, codes);
        for (i = 0u; i < pixels; i++) {
            const size_t at = (size_t)(pixel + i) * job->output_channels + group->first + filter;
            int8x8_t values = dcc_neon_finish_8(&finish, channels, sums.of[i][0], sums.of[i][1]);
            if (job->residual.x != NULL) {
                values = dcc_neon_add(&finish, &job->residual, values, dcc_neon_load(job->residual.x + at, count));
            }
            dcc_neon_store(job->y + at, values, count);
        }
    }
}

#endif
