/* SPDX-License-Identifier: Apache-2.0
 *
 * Gathers patches with NEON: 8 inputs of 4 pixels at a time, laid out as in conv_patch_plain.h.
 */
#ifndef DCC_CONV_PATCH_NEON_H
#define DCC_CONV_PATCH_NEON_H

/* What a pixel sees of the image. */
typedef struct {
    uint32_t from;  /* its first tap, in bytes from the first pixel, modulo 2^32 */
    uint32_t begin; /* of a kernel row's bytes, what lies inside the image: to before `end` */
    uint32_t end;
    int32_t line;   /* of the image, where its first kernel row lies */
} dcc_sight;

/* A kernel row's 8 inputs from `at` on; what is outside the image is `zero`, and 0 what lies behind the row. */
static inline int8x8_t dcc_patch_eight(
    const int8_t *image, const dcc_sight *sight, uint32_t at, uint32_t row_bytes, int8_t zero) {
    int8_t bytes[8] = {0};
    uint32_t i;
    if (at >= sight->begin && at + 8u <= sight->end) return vld1_s8(image + (sight->from + at));
    for (i = 0u; i < 8u && at + i < row_bytes; i++) {
        const int inside = at + i >= sight->begin && at + i < sight->end;
        bytes[i] = inside ? image[sight->from + at + i] : zero;
    }
    return vld1_s8(bytes);
}

/* 4 inputs of 4 pixels, and then 4 more unless they lie behind the row. */
DCC_NEON_INLINE void dcc_patch_eights(const int8x8_t of[4], int16_t *to, int both, int32x4_t sums[4]) {
    int16x8_t wide[4];
    int16x8x2_t even;
    int16x8x2_t odd;
    int32x4x2_t first;
    int32x4x2_t second;
    uint32_t i;
    for (i = 0u; i < 4u; i++) {
        wide[i] = vmovl_s8(of[i]);
        sums[i] = vpadalq_s16(sums[i], wide[i]);
    }
    /* Inputs 0 to 7 in steps of 2: of pixels 0 and 1 in turn, and of 2 and 3. */
    even = vtrnq_s16(wide[0], wide[1]);
    odd = vtrnq_s16(wide[2], wide[3]);
    /* Those of all 4: inputs 0 and 4, 2 and 6; 1 and 5, 3 and 7. */
    first = vtrnq_s32(vreinterpretq_s32_s16(even.val[0]), vreinterpretq_s32_s16(odd.val[0]));
    second = vtrnq_s32(vreinterpretq_s32_s16(even.val[1]), vreinterpretq_s32_s16(odd.val[1]));
    vst1q_s16(to, vreinterpretq_s16_s32(vcombine_s32(vget_low_s32(first.val[0]), vget_low_s32(first.val[1]))));
    vst1q_s16(to + 8, vreinterpretq_s16_s32(vcombine_s32(vget_low_s32(second.val[0]), vget_low_s32(second.val[1]))));
    if (!both) return;
    vst1q_s16(to + 16, vreinterpretq_s16_s32(vcombine_s32(vget_high_s32(first.val[0]), vget_high_s32(first.val[1]))));
    vst1q_s16(to + 24, vreinterpretq_s16_s32(vcombine_s32(vget_high_s32(second.val[0]), vget_high_s32(second.val[1]))));
}

/* sights: of 4 pixels; they are changed. */
static inline void dcc_patch_gather(const dcc_filler *filler, dcc_sight sights[DCC_TILE_PIXELS]) {
    const dcc_conv_job *const job = filler->job;
    const uint32_t row_bytes = filler->row_bytes;
    const int8_t zero = (int8_t)job->input_zero_point;
    int16_t *to = (int16_t *)(void *)(filler->patch.words + DCC_PATCH_START);
    int32x4_t sums[DCC_TILE_PIXELS] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
    int32x2_t low;
    int32x2_t high;
    int32_t row;
    for (row = 0; row < job->window.y.kernel; row++) {
        dcc_sight now[DCC_TILE_PIXELS];
        uint32_t whole = row_bytes & ~7u;
        uint32_t at = 0u;
        uint32_t i;
        for (i = 0u; i < DCC_TILE_PIXELS; i++) {
            now[i] = sights[i];
            if (now[i].line + row < 0 || now[i].line + row >= filler->input_height) now[i].end = now[i].begin = 0u;
            if (now[i].begin != 0u || now[i].end != row_bytes) whole = 0u;
            sights[i].from += filler->line_bytes;
        }
        for (; at < whole; at += 8u, to += 32) {
            int8x8_t of[DCC_TILE_PIXELS];
            for (i = 0u; i < DCC_TILE_PIXELS; i++) of[i] = vld1_s8(job->x + (now[i].from + at));
            dcc_patch_eights(of, to, 1, sums);
        }
        for (; at < row_bytes; at += 8u) {
            const int both = at + 4u < row_bytes;
            int8x8_t of[DCC_TILE_PIXELS];
            for (i = 0u; i < DCC_TILE_PIXELS; i++) of[i] = dcc_patch_eight(job->x, &now[i], at, row_bytes, zero);
            dcc_patch_eights(of, to, both, sums);
            to += both ? 32 : 16;
        }
    }
    low = vpadd_s32(
        vadd_s32(vget_low_s32(sums[0]), vget_high_s32(sums[0])), vadd_s32(vget_low_s32(sums[1]), vget_high_s32(sums[1])));
    high = vpadd_s32(
        vadd_s32(vget_low_s32(sums[2]), vget_high_s32(sums[2])), vadd_s32(vget_low_s32(sums[3]), vget_high_s32(sums[3])));
    vst1q_s32(
        (int32_t *)(void *)(filler->patch.words + DCC_TILE_PIXELS),
        vmulq_n_s32(vcombine_s32(low, high), 128 - job->weight_zero_point));
}

#endif
