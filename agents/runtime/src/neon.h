/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether this build may use NEON (DCC_NEON): AArch64, and Armv7-A where the compiler is told that it is there. And how
 * it finishes the sums of 8 channels. -DDCC_PLAIN leaves it out: what is then built in C computes the same bytes.
 */
#ifndef DCC_NEON_H
#define DCC_NEON_H

#include "conv.h"

#if !defined(DCC_PLAIN) && defined(__ARM_NEON) && !defined(__ARM_BIG_ENDIAN)
#define DCC_NEON 1

#include <arm_neon.h>
#include <string.h>

/* What has to stay in registers. */
#define DCC_NEON_INLINE __attribute__((always_inline)) static inline

typedef struct {
    int32x4_t left; /* accumulator shift */
    int32x4_t right; /* fraction bits, negative as what follows */
    int8x8_t low;
    int8x8_t high;
    int32x4_t residual_right;
    int8x8_t residual_low;
    int8x8_t residual_high;
} dcc_neon_finish;

/* Of 4 channels. multipliers: shifted left by 15, since the product's high half is doubled. */
typedef struct {
    int32x4_t multipliers;
    int32x4_t biases;
} dcc_neon_channels;

static inline dcc_neon_finish dcc_neon_finish_of(const dcc_conv_job *job) {
    dcc_neon_finish finish;
    finish.left = vdupq_n_s32((int32_t)job->scaling.accumulator_shift);
    finish.right = vdupq_n_s32(-(int32_t)job->scaling.fraction_bits);
    finish.low = vdup_n_s8((int8_t)job->scaling.low);
    finish.high = vdup_n_s8((int8_t)job->scaling.high);
    finish.residual_right = vdupq_n_s32(0);
    finish.residual_low = finish.low;
    finish.residual_high = finish.high;
    if (job->residual.x != NULL) {
        finish.residual_right = vdupq_n_s32(-(int32_t)job->residual.shift);
        finish.residual_low = vdup_n_s8((int8_t)job->residual.low);
        finish.residual_high = vdup_n_s8((int8_t)job->residual.high);
    }
    return finish;
}

static inline dcc_neon_channels dcc_neon_channels_of(const dcc_channel *four) {
    const int32x4x2_t both = vld2q_s32((const int32_t *)(const void *)four);
    dcc_neon_channels channels;
    channels.biases = both.val[0];
    channels.multipliers = vshlq_n_s32(both.val[1], 15);
    return channels;
}

static inline dcc_neon_channels dcc_neon_channel_of(dcc_channel channel) {
    dcc_neon_channels channels;
    channels.biases = vdupq_n_s32(channel.bias);
    channels.multipliers = vdupq_n_s32((int32_t)((uint32_t)channel.multiplier << 15));
    return channels;
}

static inline int8x8_t dcc_neon_clamp(int32x4_t first, int32x4_t second, int8x8_t low, int8x8_t high) {
    const int8x8_t bytes = vqmovn_s16(vcombine_s16(vqmovn_s32(first), vqmovn_s32(second)));
    return vmin_s8(vmax_s8(bytes, low), high);
}

static inline int32x4_t dcc_neon_requantise(
    const dcc_neon_finish *finish, const dcc_neon_channels *channels, int32x4_t sums) {
    const int32x4_t product = vqdmulhq_s32(vshlq_s32(sums, finish->left), channels->multipliers);
    return vshlq_s32(vaddq_s32(product, channels->biases), finish->right);
}

static inline int8x8_t dcc_neon_finish_8(
    const dcc_neon_finish *finish, const dcc_neon_channels channels[2], int32x4_t first, int32x4_t second) {
    return dcc_neon_clamp(
        dcc_neon_requantise(finish, &channels[0], first), dcc_neon_requantise(finish, &channels[1], second), finish->low,
        finish->high);
}

/* What dcc_neon_finish_8 gave, added to the residual's x. */
static inline int8x8_t dcc_neon_add(
    const dcc_neon_finish *finish, const dcc_residual *residual, int8x8_t values, int8x8_t x) {
    const int32x4_t offset = vdupq_n_s32(residual->offset);
    const int16_t multiplier = (int16_t)residual->multiplier;
    const int16_t x_multiplier = (int16_t)residual->residual_multiplier;
    const int16x8_t wide = vmovl_s8(values);
    const int16x8_t wide_x = vmovl_s8(x);
    int32x4_t first = vmlal_n_s16(offset, vget_low_s16(wide), multiplier);
    int32x4_t second = vmlal_n_s16(offset, vget_high_s16(wide), multiplier);
    first = vmlal_n_s16(first, vget_low_s16(wide_x), x_multiplier);
    second = vmlal_n_s16(second, vget_high_s16(wide_x), x_multiplier);
    return dcc_neon_clamp(
        vshlq_s32(first, finish->residual_right), vshlq_s32(second, finish->residual_right), finish->residual_low,
        finish->residual_high);
}

/* Up to 8 int8; the others are 0. */
static inline int8x8_t dcc_neon_load(const int8_t *from, uint32_t count) {
    int8_t bytes[8] = {0};
    if (count >= 8u) return vld1_s8(from);
    memcpy(bytes, from, count);
    return vld1_s8(bytes);
}

static inline void dcc_neon_store(int8_t *to, int8x8_t values, uint32_t count) {
    int8_t bytes[8];
    if (count >= 8u) {
        vst1_s8(to, values);
        return;
    }
    vst1_s8(bytes, values);
    memcpy(to, bytes, count);
}

#else
#define DCC_NEON 0
#endif

#endif
