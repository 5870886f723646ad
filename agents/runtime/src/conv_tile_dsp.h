/* SPDX-License-Identifier: Apache-2.0
 *
 * The inner loop of conv_tile.c for the DSP extension.
 */
#ifndef DCC_CONV_TILE_DSP_H
#define DCC_CONV_TILE_DSP_H

/* What dcc_tile_pairs works on. Its offsets are in the code below. */
typedef struct {
    const uint32_t *patch;
    const uint8_t *codes;     /* of the first pair */
    const uint8_t *codes_end; /* of the last pair */
    const uint32_t *patch_end;
    uint32_t skipped;           /* bytes of code in the first round */
    const dcc_channel *channel; /* of the first filter */
    int8_t *y;
    uint32_t pitch;             /* from pixel to pixel of y */
    uint32_t fraction_bits;
    uint32_t accumulator_shift; /* at most 8 */
    uint32_t odd_shift;         /* 8 less that */
    const int8_t *residual;     /* NULL where there is none */
    uint32_t multipliers;       /* low half: of the convolution, high half: of the residual */
    int32_t offset;
    uint32_t shift;
    uint32_t *sums; /* not NULL: of one pair, even filter and both, unfinished; nothing else is done */
} dcc_tile;

#define STEP_BYTES 42u
#define STEPS_A_ROUND 8u

/* 2 inputs. r0 patch, r1 codes, r2 and r3 inputs of a pixel, r4 a word of codes, lr its low bytes, r5 to r8 sums of the
 * even filter, r9 to r12 of both. */
#define STEP                                                                                                          \
    "ldmia r1!, {r4}\n\t"                                                                                             \
    "ldmia r0!, {r2, r3}\n\t"                                                                                         \
    "uxtb16 lr, r4\n\t"                                                                                               \
    "smlad r9, r4, r2, r9\n\t"                                                                                        \
    "smlad r5, lr, r2, r5\n\t"                                                                                        \
    "smlad r10, r4, r3, r10\n\t"                                                                                      \
    "smlad r6, lr, r3, r6\n\t"                                                                                        \
    "ldmia r0!, {r2, r3}\n\t"                                                                                         \
    "smlad r11, r4, r2, r11\n\t"                                                                                      \
    "smlad r7, lr, r2, r7\n\t"                                                                                        \
    "smlad r12, r4, r3, r12\n\t"                                                                                      \
    "smlad r8, lr, r3, r8\n\t"

#define STEP2 STEP STEP
#define STEP4 STEP2 STEP2

/* r2 bias, r3 multiplier, r4 fraction bits; lr accumulator shift, or for the odd filter 8 less it. */
#define FINISH(shift, sum)                                                                                            \
    shift " " sum ", " sum ", lr\n\t"                                                                                 \
    "smlawb " sum ", " sum ", r3, r2\n\t"                                                                             \
    "asr " sum ", " sum ", r4\n\t"                                                                                    \
    "ssat " sum ", #8, " sum "\n\t"

/* r0 residual, r2 multipliers, r3 offset, r4 shift. */
#define ADD_RESIDUAL(value, at)                                                                                       \
    "ldrsb lr, [r0, #" at "]\n\t"                                                                                     \
    "smlabb " value ", " value ", r2, r3\n\t"                                                                         \
    "smlabt " value ", lr, r2, " value "\n\t"                                                                         \
    "asr " value ", " value ", r4\n\t"                                                                                \
    "ssat " value ", #8, " value "\n\t"

/* One tile of 4 pixels, one pair of filters after the other. All registers are needed, the frame pointer too, so the
 * code keeps them itself; the tile is copied onto the stack for the shortest access. */
__attribute__((noinline)) static void dcc_tile_pairs(const dcc_tile *tile) {
    register const dcc_tile *r0 __asm__("r0") = tile;
    __asm__ volatile(
        "push {r4-r11, lr}\n\t"
        "adds r0, #32\n\t"
        "ldmia.w r0, {r4-r11}\n\t"
        "push {r4-r11}\n\t"
        "subs r0, #32\n\t"
        "ldmia.w r0, {r4-r11}\n\t"
        "push {r4-r11}\n\t"
        "ldr r1, [sp, #4]\n"
        "1:\n\t" /* the next pair */
        "ldr r2, [sp, #16]\n\t"
        "ldr r0, [sp, #0]\n\t"
        "ldmia.w r0!, {r5-r12}\n\t"
        ".balign 4\n\t"
        "add pc, r2\n\t"
        "nop\n"
        "2:\n\t"
        STEP4 STEP4
        "ldr r2, [sp, #12]\n\t"
        "cmp r0, r2\n\t"
        "bne 2b\n\t"
        "ldr r4, [sp, #60]\n\t"
        "cbz r4, 5f\n\t"
        "stmia.w r4, {r5-r12}\n\t"
        "b 6f\n"
        "5:\n\t"
        "ldr r0, [sp, #20]\n\t"
        "ldr r4, [sp, #32]\n\t"
        "ldr lr, [sp, #36]\n\t"
        "ldmia r0!, {r2, r3}\n\t"
        "sub r9, r9, r5\n\t"
        "sub r10, r10, r6\n\t"
        "sub r11, r11, r7\n\t"
        "sub r12, r12, r8\n\t"
        FINISH("lsl", "r5")
        FINISH("lsl", "r6")
        FINISH("lsl", "r7")
        FINISH("lsl", "r8")
        "ldr lr, [sp, #40]\n\t"
        "ldmia r0!, {r2, r3}\n\t"
        "str r0, [sp, #20]\n\t"
        FINISH("asr", "r9")
        FINISH("asr", "r10")
        FINISH("asr", "r11")
        FINISH("asr", "r12")
        "ldr r0, [sp, #44]\n\t"
        "cmp r0, #0\n\t"
        "bne 4f\n"
        "3:\n\t"
        "ldr r0, [sp, #24]\n\t"
        "ldr r4, [sp, #28]\n\t"
        "add r2, r0, r4\n\t"
        "add r3, r0, r4, lsl #1\n\t"
        "add r4, r2, r4, lsl #1\n\t"
        "strb r5, [r0]\n\t"
        "strb r9, [r0, #1]\n\t"
        "strb r6, [r2]\n\t"
        "strb r10, [r2, #1]\n\t"
        "strb r7, [r3]\n\t"
        "strb r11, [r3, #1]\n\t"
        "strb r8, [r4]\n\t"
        "strb r12, [r4, #1]\n\t"
        "adds r0, #2\n\t"
        "str r0, [sp, #24]\n\t"
        "ldr r2, [sp, #8]\n\t"
        "cmp r1, r2\n\t"
        "bne 1b\n\t"
        "b 6f\n"
        "4:\n\t" /* residual */
        "ldr r2, [sp, #48]\n\t"
        "ldr r3, [sp, #52]\n\t"
        "ldr r4, [sp, #56]\n\t"
        ADD_RESIDUAL("r5", "0")
        ADD_RESIDUAL("r9", "1")
        "ldr lr, [sp, #28]\n\t"
        "add r0, r0, lr\n\t"
        ADD_RESIDUAL("r6", "0")
        ADD_RESIDUAL("r10", "1")
        "ldr lr, [sp, #28]\n\t"
        "add r0, r0, lr\n\t"
        ADD_RESIDUAL("r7", "0")
        ADD_RESIDUAL("r11", "1")
        "ldr lr, [sp, #28]\n\t"
        "add r0, r0, lr\n\t"
        ADD_RESIDUAL("r8", "0")
        ADD_RESIDUAL("r12", "1")
        "ldr r0, [sp, #44]\n\t"
        "adds r0, #2\n\t"
        "str r0, [sp, #44]\n\t"
        "b 3b\n"
        "6:\n\t"
        "add sp, #64\n\t"
        "pop {r4-r11, lr}"
        : "+r"(r0)
        :
        : "r1", "r2", "r3", "ip", "cc", "memory");
}

/* Of one pair of filters. */
static inline dcc_tile dcc_tile_of(const dcc_patch *patch, const uint8_t *codes) {
    const uint32_t steps = patch->inputs / 2u;
    dcc_tile tile = {0};
    tile.patch = patch->words;
    tile.codes = codes;
    tile.codes_end = codes + 2u * patch->inputs;
    tile.patch_end = patch->words + DCC_PATCH_START + DCC_TILE_PIXELS * steps;
    tile.skipped = (0u - steps) % STEPS_A_ROUND * STEP_BYTES;
    return tile;
}

/* What all whole pairs of the group's filters have in common at every tile; `y` and `residual` are missing. There are
 * none (0) where results have to be clamped within int8, or sums to be shifted out of 32 bits. */
static inline uint32_t dcc_tile_whole(
    dcc_tile *tile, const dcc_conv_job *job, const dcc_patch *patch, const dcc_filters *group) {
    const dcc_scaling *const scaling = &job->scaling;
    const dcc_residual *const residual = &job->residual;
    if (scaling->low != -128 || scaling->high != 127 || scaling->accumulator_shift > 8u) return 0u;
    if (residual->x != NULL && (residual->low != -128 || residual->high != 127)) return 0u;
    *tile = dcc_tile_of(patch, group->codes);
    tile->multipliers = ((uint32_t)residual->residual_multiplier << 16) | ((uint32_t)residual->multiplier & 0xffffu);
    tile->offset = residual->offset;
    tile->shift = residual->shift;
    tile->codes_end = group->codes + patch->inputs * (group->count & ~1u);
    tile->channel = group->channels;
    tile->pitch = job->output_channels;
    tile->fraction_bits = scaling->fraction_bits;
    tile->accumulator_shift = scaling->accumulator_shift;
    tile->odd_shift = 8u - scaling->accumulator_shift;
    return group->count & ~1u;
}

/* sums: of the even filter at 4 pixels, then of the odd one. */
static inline void dcc_tile_sums(const dcc_patch *patch, const uint8_t *codes, uint32_t sums[2u * DCC_TILE_PIXELS]) {
    dcc_tile tile = dcc_tile_of(patch, codes);
    uint32_t i;
    tile.sums = sums;
    dcc_tile_pairs(&tile);
    for (i = 0u; i < DCC_TILE_PIXELS; i++) {
        uint32_t *const odd = sums + DCC_TILE_PIXELS + i;
        *odd = (uint32_t)((int32_t)(*odd - sums[i]) >> 8);
    }
}

#endif
