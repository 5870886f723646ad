/* SPDX-License-Identifier: Apache-2.0
 *
 * The inner loop of conv_tile.c for the DSP extension.
 */
#ifndef DCC_CONV_TILE_DSP_H
#define DCC_CONV_TILE_DSP_H

enum { DCC_TILE_PLAIN = 0, DCC_TILE_RESIDUAL = 1, DCC_TILE_SUMS = 2 };

/* What dcc_tile_pairs works on. Its offsets are in the code below. */
typedef struct {
    const uint32_t *patch;      /* 0 */
    const uint8_t *codes;       /* 4: of the first pair */
    const uint8_t *codes_end;   /* 8: of the last pair */
    const uint32_t *patch_end;  /* 12 */
    uint32_t skipped;           /* 16: bytes of code in the first round */
    uint32_t mode;              /* 20 */
    const dcc_channel *channel; /* 24: of the first filter */
    uint32_t fraction_bits;     /* 28 */
    int8_t *y;                  /* 32 */
    uint32_t pitch;             /* 36: from pixel to pixel of y */
    const int8_t *residual;     /* 40: these four where DCC_TILE_RESIDUAL */
    uint32_t multipliers;       /* 44: low half: of the convolution, high half: of the residual */
    int32_t offset;             /* 48 */
    uint32_t shift;             /* 52 */
    uint32_t *sums;             /* 56: where DCC_TILE_SUMS: of one pair, even filter and both; nothing else is done */
    uint32_t unused;            /* 60 */
} dcc_tile;

#define STEPS_BYTES 100u /* 2 steps */
#define STEPS_A_ROUND 12u

/* 2 inputs. r0 patch, r1 codes, r2 and r3 inputs of a pixel, r4 a word of codes, lr its low bytes, r5 to r8 sums of the
 * even filter, r9 to r12 of both. `wide`: of the second LDM. */
#define STEP_WITH(load, wide)                                                                                         \
    "ldr.w r4, [r1], #4\n\t"                                                                                          \
    load                                                                                                              \
    "uxtb16 lr, r4\n\t"                                                                                               \
    "smlad r9, r4, r2, r9\n\t"                                                                                        \
    "smlad r5, lr, r2, r5\n\t"                                                                                        \
    "smlad r10, r4, r3, r10\n\t"                                                                                      \
    "smlad r6, lr, r3, r6\n\t"                                                                                        \
    "ldmia" wide " r0!, {r2, r3}\n\t"                                                                                 \
    "smlad r11, r4, r2, r11\n\t"                                                                                      \
    "smlad r7, lr, r2, r7\n\t"                                                                                        \
    "smlad r12, r4, r3, r12\n\t"                                                                                      \
    "smlad r8, lr, r3, r8\n\t"

/* 13 instructions in 16 cycles of a Cortex-M4, where single loads that follow each other take one each but for the
 * first; or 12 in 17. */
#define STEP_FAST(wide) STEP_WITH("ldr.w r2, [r0], #4\n\tldr.w r3, [r0], #4\n\t", wide)
#define STEP_SHORT(wide) STEP_WITH("ldmia.w r0!, {r2, r3}\n\t", wide)

/* Of the same size, since the first round may begin between any of them. */
#define STEPS_FAST STEP_FAST("") STEP_FAST("")
#define STEPS_SHORT STEP_FAST(".w") STEP_SHORT(".w")

/* r2 bias, r3 multiplier, r4 fraction bits. */
#define FINISH(sum)                                                                                                   \
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
        STEPS_FAST STEPS_FAST STEPS_SHORT STEPS_FAST STEPS_FAST STEPS_SHORT
        "ldr r2, [sp, #12]\n\t"
        "cmp r0, r2\n\t"
        "bne 2b\n\t"
        "ldr r4, [sp, #20]\n\t"
        "ldr r0, [sp, #24]\n\t"
        "cmp r4, #1\n\t" /* nothing below changes the flags before the branch that asks for them */
        "bhi 5f\n\t"
        "ldr r4, [sp, #28]\n\t"
        "ldmia r0!, {r2, r3}\n\t"
        "sub r9, r9, r5\n\t"
        "sub r10, r10, r6\n\t"
        "sub r11, r11, r7\n\t"
        "sub r12, r12, r8\n\t"
        FINISH("r5")
        FINISH("r6")
        FINISH("r7")
        FINISH("r8")
        "ldmia r0!, {r2, r3}\n\t"
        "str r0, [sp, #24]\n\t"
        "add.w r4, r4, #8\n\t" /* the odd filter's sums are still 256 times theirs */
        "lsl.w r2, r2, #8\n\t"
        FINISH("r9")
        FINISH("r10")
        FINISH("r11")
        FINISH("r12")
        "beq 4f\n"
        "3:\n\t"
        "ldr r0, [sp, #32]\n\t"
        "ldr r4, [sp, #36]\n\t"
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
        "str r0, [sp, #32]\n\t"
        "ldr r2, [sp, #8]\n\t"
        "cmp r1, r2\n\t"
        "bne 1b\n\t"
        "b 6f\n"
        "4:\n\t" /* residual */
        "ldr r0, [sp, #40]\n\t"
        "ldr r2, [sp, #44]\n\t"
        "ldr r3, [sp, #48]\n\t"
        "ldr r4, [sp, #52]\n\t"
        ADD_RESIDUAL("r5", "0")
        ADD_RESIDUAL("r9", "1")
        "ldr lr, [sp, #36]\n\t"
        "add r0, r0, lr\n\t"
        ADD_RESIDUAL("r6", "0")
        ADD_RESIDUAL("r10", "1")
        "ldr lr, [sp, #36]\n\t"
        "add r0, r0, lr\n\t"
        ADD_RESIDUAL("r7", "0")
        ADD_RESIDUAL("r11", "1")
        "ldr lr, [sp, #36]\n\t"
        "add r0, r0, lr\n\t"
        ADD_RESIDUAL("r8", "0")
        ADD_RESIDUAL("r12", "1")
        "ldr r0, [sp, #40]\n\t"
        "adds r0, #2\n\t"
        "str r0, [sp, #40]\n\t"
        "b 3b\n"
        "5:\n\t"
        "ldr r4, [sp, #56]\n\t"
        "stmia.w r4, {r5-r12}\n"
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
    tile.skipped = (STEPS_A_ROUND - 1u - (steps - 1u) % STEPS_A_ROUND) / 2u * STEPS_BYTES;
    return tile;
}

/* Biases below this and products of sums of 24 bits fit an int32 256 times. */
#define LARGEST_BIAS (1 << 22)

/* What all whole pairs of the group's filters have in common at every tile; `y` and `residual` are missing. There are
 * none (0) where a result needs more than dcc_tile_pairs does. */
static inline uint32_t dcc_tile_whole(
    dcc_tile *tile, const dcc_conv_job *job, const dcc_patch *patch, const dcc_filters *group) {
    const dcc_scaling *const scaling = &job->scaling;
    const dcc_residual *const residual = &job->residual;
    uint32_t i;
    if (scaling->low != -128 || scaling->high != 127 || scaling->accumulator_shift != 0u) return 0u;
    if (residual->x != NULL && (residual->low != -128 || residual->high != 127)) return 0u;
    for (i = 0u; i < group->count; i++) {
        const int32_t bias = group->channels[i].bias;
        if (bias < -LARGEST_BIAS || bias > LARGEST_BIAS) return 0u;
    }
    *tile = dcc_tile_of(patch, group->codes);
    tile->mode = residual->x != NULL ? DCC_TILE_RESIDUAL : DCC_TILE_PLAIN;
    tile->multipliers = ((uint32_t)residual->residual_multiplier << 16) | ((uint32_t)residual->multiplier & 0xffffu);
    tile->offset = residual->offset;
    tile->shift = residual->shift;
    tile->codes_end = group->codes + patch->inputs * (group->count & ~1u);
    tile->channel = group->channels;
    tile->pitch = job->output_channels;
    tile->fraction_bits = scaling->fraction_bits;
    return group->count & ~1u;
}

/* sums: of the even filter at 4 pixels, then of the odd one. */
static inline void dcc_tile_sums(const dcc_patch *patch, const uint8_t *codes, uint32_t sums[2u * DCC_TILE_PIXELS]) {
    dcc_tile tile = dcc_tile_of(patch, codes);
    uint32_t i;
    tile.mode = DCC_TILE_SUMS;
    tile.sums = sums;
    dcc_tile_pairs(&tile);
    for (i = 0u; i < DCC_TILE_PIXELS; i++) {
        uint32_t *const odd = sums + DCC_TILE_PIXELS + i;
        *odd = (uint32_t)((int32_t)(*odd - sums[i]) >> 8);
    }
}

#endif
