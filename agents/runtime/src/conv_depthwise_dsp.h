/* SPDX-License-Identifier: Apache-2.0
 *
 * DEPTHWISE's inner loops for Arm cores with the DSP extension (Cortex-M4, M7, M33): GNU assembly, Thumb-2, for
 * kernels of 3 x 3.
 */
#ifndef DCC_CONV_DEPTHWISE_DSP_H
#define DCC_CONV_DEPTHWISE_DSP_H

#include "conv_depthwise.h"

/* The part of an image that is widened. The assembly knows it by offsets. */
typedef struct {
    const int8_t *x;
    uint32_t channels; /* bytes from pixel to pixel */
    int16_t *to;       /* in the first plane */
    uint32_t plane_bytes;
    uint32_t columns;
    uint32_t row_step; /* bytes from a row's last pixel to the next row */
    uint32_t to_step;
    uint32_t rows;
    uint32_t outside; /* 4 int8; what a row with an odd number of columns is filled up with */
} dcc_depthwise_image;

/* Widens 4 channels into 4 planes, 2 pixels at a time. */
__attribute__((naked, noinline, unused)) static void dcc_depthwise_widen(
    __attribute__((unused)) const dcc_depthwise_image *image) {
    __asm volatile(
        "push {r4-r11, lr}\n"
        "ldr r9, [r0, #32]\n"
        "ldr r11, [r0, #28]\n"
        "mov r8, r0\n"
        "ldr r4, [r0, #12]\n"
        "ldm r8, {r0, r1, r2}\n"
        "add r3, r2, r4\n"
        "add r12, r3, r4\n"
        "add lr, r12, r4\n"
        "push {r8}\n"

        "1:\n" /* a row */
        "ldr r8, [sp]\n"
        "ldr r10, [r8, #16]\n"
        "subs r10, #2\n"
        "bmi 4f\n"
        "2:\n"
        "ldr r4, [r0]\n"
        "ldr r5, [r0, r1]\n"
        "add r0, r0, r1, lsl #1\n"
        "3:\n"
        "sxtb16 r6, r4\n"
        "sxtb16 r7, r5\n"
        "sxtb16 r4, r4, ror #8\n"
        "sxtb16 r5, r5, ror #8\n"
        "pkhbt r8, r6, r7, lsl #16\n"
        "pkhtb r7, r7, r6, asr #16\n"
        "pkhbt r6, r4, r5, lsl #16\n"
        "pkhtb r5, r5, r4, asr #16\n"
        "str r8, [r2], #4\n"
        "str r6, [r3], #4\n"
        "str r7, [r12], #4\n"
        "str r5, [lr], #4\n"
        "subs r10, #2\n"
        "bpl 2b\n"
        "4:\n"
        "cmn r10, #1\n"
        "bne 5f\n"
        "ldr r4, [r0]\n"
        "add r0, r1\n"
        "mov r5, r9\n"
        "b 3b\n"
        "5:\n"
        "ldr r8, [sp]\n"
        "ldrd r4, r5, [r8, #20]\n"
        "add r0, r4\n"
        "add r2, r5\n"
        "add r3, r5\n"
        "add r12, r5\n"
        "add lr, r5\n"
        "subs r11, #1\n"
        "bne 1b\n"
        "add sp, #4\n"
        "pop {r4-r11, pc}\n");
}

/* Weights of a kernel row as (0, 1) and (1, 2); shifted left by the accumulator shift. */
typedef struct {
    uint32_t weights[3][2];
    int32_t multiplier;
    int32_t bias;
} dcc_depthwise_channel;

enum { DCC_DEPTHWISE_STRIDE_1_ODD = 0, DCC_DEPTHWISE_STRIDE_2_EVEN = 1, DCC_DEPTHWISE_STRIDE_2_ODD = 2 };

/* Some channels of a band. The assembly knows this by offsets. */
typedef struct {
    uint32_t variant; /* stride x, and whether tap 0 of the first output lies at an odd value */
    uint32_t fraction_bits;
    uint32_t row_bytes; /* of a plane */
    int8_t *y;          /* the band's first output of the first channel; the next channel's follows */
    const dcc_depthwise_tile *tiles; /* ended by one whose x is 0 */
    const int16_t *plane;            /* 4 bytes before the first channel's */
    uint32_t plane_bytes;
    const dcc_depthwise_channel *channels;
    uint32_t count;
} dcc_depthwise_job;

/* r0, r1 and lr: words of two values; r2 and r3: weights; r4 to r11: sums; r12: where words come from. */
#define DCC_SET_0(sum, x) "smultb " sum ", " x ", r2\n"
#define DCC_ADD_0(sum, x) "smlatb " sum ", " x ", r2, " sum "\n"
#define DCC_SET_01(sum, x) "smuad " sum ", " x ", r2\n"
#define DCC_ADD_01(sum, x) "smlad " sum ", " x ", r2, " sum "\n"
#define DCC_ADD_12(sum, x) "smlad " sum ", " x ", r3, " sum "\n"
#define DCC_ADD_2(sum, x) "smlabt " sum ", " x ", r3, " sum "\n"
#define DCC_WORDS "ldm r12!, {r0, r1, lr}\n"

#define DCC_STRIDE_1_ODD(FIRST_0, FIRST_01) \
    DCC_WORDS \
    FIRST_0("r4", "r0") DCC_ADD_12("r4", "r1") FIRST_01("r5", "r1") DCC_ADD_2("r5", "lr") \
    FIRST_0("r6", "r1") DCC_ADD_12("r6", "lr") FIRST_01("r7", "lr") FIRST_0("r8", "lr") \
    DCC_WORDS \
    DCC_ADD_2("r7", "r0") DCC_ADD_12("r8", "r0") FIRST_01("r9", "r0") DCC_ADD_2("r9", "r1") \
    FIRST_0("r10", "r0") DCC_ADD_12("r10", "r1") FIRST_01("r11", "r1") DCC_ADD_2("r11", "lr")

#define DCC_STRIDE_2(FIRST, SECOND) \
    DCC_WORDS \
    FIRST("r4", "r0") SECOND("r4", "r1") FIRST("r5", "r1") SECOND("r5", "lr") FIRST("r6", "lr") \
    DCC_WORDS \
    SECOND("r6", "r0") FIRST("r7", "r0") SECOND("r7", "r1") FIRST("r8", "r1") SECOND("r8", "lr") FIRST("r9", "lr") \
    DCC_WORDS \
    SECOND("r9", "r0") FIRST("r10", "r0") SECOND("r10", "r1") FIRST("r11", "r1") SECOND("r11", "lr")

#define DCC_NEXT_ROW(at) \
    "ldr r2, [sp, #36]\n" \
    "add r12, r2\n" \
    "ldrd r2, r3, [sp, #" at "]\n"

__attribute__((naked, noinline, unused)) static void dcc_depthwise_run(
    __attribute__((unused)) const dcc_depthwise_job *job) {
    /* sp: 0 weights, 24 multiplier, 28 bias, 32 fraction bits, 36 from the words of a row to those of the next,
     * 40 y, 44 next tile, 48 plane, 52 first tile, 56 bytes of a plane, 60 next channel, 64 channels left, 68 code. */
    __asm volatile(
        "push {r4-r11, lr}\n"
        "sub sp, #76\n"
        "ldm r0, {r1-r9}\n"
        "cmp r1, #1\n"
        "ite lo\n"
        "sublo r3, #24\n"
        "subhs r3, #36\n"
        "adr r10, 10f\n"
        "it eq\n"
        "adreq r10, 11f\n"
        "it hi\n"
        "adrhi r10, 12f\n"
        "orr r10, #1\n"
        "strd r2, r3, [sp, #32]\n"
        "str r4, [sp, #40]\n"
        "strd r6, r5, [sp, #48]\n"
        "strd r7, r8, [sp, #56]\n"
        "strd r9, r10, [sp, #64]\n"

        "1:\n" /* a channel */
        "ldr r0, [sp, #60]\n"
        "ldm r0!, {r1-r8}\n"
        "str r0, [sp, #60]\n"
        "stm sp, {r1-r8}\n"
        "ldr r12, [sp, #52]\n"

        "2:\n" /* a tile */
        "ldr r0, [r12], #4\n"
        "ldr r1, [sp, #48]\n"
        "cbz r0, 4f\n"
        "str r12, [sp, #44]\n"
        "add r12, r0, r1\n"
        "ldrd r2, r3, [sp]\n"
        "ldr pc, [sp, #68]\n"

        "4:\n" /* r1: the plane */
        "ldr r0, [sp, #40]\n"
        "ldr r2, [sp, #56]\n"
        "ldr r3, [sp, #64]\n"
        "adds r0, #1\n"
        "add r1, r2\n"
        "str r0, [sp, #40]\n"
        "str r1, [sp, #48]\n"
        "subs r3, #1\n"
        "str r3, [sp, #64]\n"
        "bne 1b\n"
        "add sp, #76\n"
        "pop {r4-r11, pc}\n"

        "3:\n"
        "ldrd r0, r1, [sp, #24]\n"
        "ldr r2, [sp, #32]\n"
        ".irp s, r4, r5, r6, r7, r8, r9, r10, r11\n"
        "smlawb \\s, \\s, r0, r1\n"
        "asr \\s, r2\n"
        "ssat \\s, #8, \\s\n"
        ".endr\n"
        "ldrd lr, r12, [sp, #40]\n"
        "ldm r12!, {r0-r3}\n"
        "strb r4, [lr, r0]\n"
        "strb r5, [lr, r1]\n"
        "strb r6, [lr, r2]\n"
        "strb r7, [lr, r3]\n"
        "ldm r12!, {r0-r3}\n"
        "strb r8, [lr, r0]\n"
        "strb r9, [lr, r1]\n"
        "strb r10, [lr, r2]\n"
        "strb r11, [lr, r3]\n"
        "b 2b\n"

        ".balign 4\n"
        "10:\n"
        DCC_STRIDE_1_ODD(DCC_SET_0, DCC_SET_01)
        DCC_NEXT_ROW("8") DCC_STRIDE_1_ODD(DCC_ADD_0, DCC_ADD_01)
        DCC_NEXT_ROW("16") DCC_STRIDE_1_ODD(DCC_ADD_0, DCC_ADD_01)
        "b 3b\n"
        ".balign 4\n"
        "11:\n"
        DCC_STRIDE_2(DCC_SET_01, DCC_ADD_2)
        DCC_NEXT_ROW("8") DCC_STRIDE_2(DCC_ADD_01, DCC_ADD_2)
        DCC_NEXT_ROW("16") DCC_STRIDE_2(DCC_ADD_01, DCC_ADD_2)
        "b 3b\n"
        ".balign 4\n"
        "12:\n"
        DCC_STRIDE_2(DCC_SET_0, DCC_ADD_12)
        DCC_NEXT_ROW("8") DCC_STRIDE_2(DCC_ADD_0, DCC_ADD_12)
        DCC_NEXT_ROW("16") DCC_STRIDE_2(DCC_ADD_0, DCC_ADD_12)
        "b 3b\n");
}

#endif
