/* SPDX-License-Identifier: Apache-2.0
 *
 * BAND's inner loops for Arm cores with the DSP extension (Cortex-M4, M7, M33): GNU assembly, Thumb-2.
 */
#ifndef DCC_CONV_BAND_DSP_H
#define DCC_CONV_BAND_DSP_H

#include <stddef.h>

#include "conv_band.h"

/* Appends the entries of weights in fours of neighbouring channels, from words to before end; there are some. at: bytes
 * from a tile's origin to the words of the first pair. */
__attribute__((naked, noinline, unused)) static void dcc_band_list_fours(
    __attribute__((unused)) const uint32_t *words, __attribute__((unused)) const uint32_t *end,
    __attribute__((unused)) dcc_band_list *list, __attribute__((unused)) int32_t at,
    __attribute__((unused)) int32_t pair_bytes) {
    __asm volatile(
        "push {r2, r4-r7, lr}\n"
        "ldr r12, [sp, #24]\n"
        "ldm r2, {r4, r5}\n" /* the next entry, and where the words of the last end */
        "1:\n"
        "ldm r0!, {r6, r7}\n"
        "orrs lr, r6, r7\n"
        "beq 3f\n"
        "pkhbt r2, r6, r7, lsl #16\n"
        "pkhtb r7, r7, r6, asr #16\n"
        "cbz r2, 2f\n"
        "subs r6, r3, r5\n"
        "strd r2, r6, [r4], #8\n"
        "add r5, r3, #32\n"
        "2:\n"
        "cbz r7, 3f\n"
        "add r6, r3, r12\n"
        "subs r2, r6, r5\n"
        "strd r7, r2, [r4], #8\n"
        "add r5, r6, #32\n"
        "3:\n"
        "add r3, r3, r12, lsl #1\n"
        "cmp r0, r1\n"
        "bne 1b\n"
        "pop {r2}\n"
        "stm r2, {r4, r5}\n"
        "pop {r4-r7, pc}\n");
}

/* Widens 4 pixels at a time, `fours` times, of 4 channels at a time, `quads` times. step: bytes from pixel to pixel;
 * next: bytes from a pair's row to the next one's. x need not be aligned. */
__attribute__((naked, noinline, unused)) static void dcc_band_widen_fours(
    __attribute__((unused)) const int8_t *x, __attribute__((unused)) uint32_t step,
    __attribute__((unused)) uint32_t *to, __attribute__((unused)) uint32_t next,
    __attribute__((unused)) uint32_t fours, __attribute__((unused)) uint32_t quads) {
    __asm volatile(
        "push {r0, r2, r4-r11, lr}\n"
        "add lr, r1, r1, lsl #1\n"
        "1:\n"
        "ldr r12, [sp, #44]\n"
        "add r3, r2\n"
        "add r12, r2, r12, lsl #4\n"
        "2:\n"
        "ldr r4, [r0]\n"
        "ldr r5, [r0, r1]\n"
        "ldr r6, [r0, r1, lsl #1]\n"
        "ldr r7, [r0, lr]\n"
        "add r0, r0, r1, lsl #2\n"
        "sxtb16 r8, r4\n"
        "sxtb16 r9, r5\n"
        "sxtb16 r10, r6\n"
        "sxtb16 r11, r7\n"
        "stm r2!, {r8-r11}\n"
        "sxtb16 r4, r4, ror #8\n"
        "sxtb16 r5, r5, ror #8\n"
        "sxtb16 r6, r6, ror #8\n"
        "sxtb16 r7, r7, ror #8\n"
        "stm r3!, {r4-r7}\n"
        "cmp r2, r12\n"
        "bne 2b\n"
        "sub r3, r2\n" /* next again */
        "ldrd r0, r2, [sp]\n"
        "ldr r12, [sp, #48]\n"
        "adds r0, #4\n"
        "add r2, r2, r3, lsl #1\n"
        "strd r0, r2, [sp]\n"
        "subs r12, #1\n"
        "str r12, [sp, #48]\n"
        "bne 1b\n"
        "add sp, #8\n"
        "pop {r4-r11, pc}\n");
}

/* One filter over tiles of 8 pixels, in rows. The assembly below copies this to its stack and knows it by offsets. */
typedef struct {
    const dcc_band_entry *entries; /* at least one */
    const uint32_t *origin;        /* of the first tile */
    const dcc_band_entry *end;
    uint32_t jump; /* made by the assembly */
    int32_t multiplier;
    int32_t bias;
    uint32_t fraction_bits;
    uint32_t accumulator_shift; /* DCC_BAND_SUMS: y is an int32_t[8] that takes the sums of the only tile */
    void *y;                    /* of the first tile */
    uint32_t channels;          /* bytes from pixel to pixel */
    uint32_t tiles;             /* of a row */
    uint32_t rows;
    uint32_t origin_step; /* bytes from the end of a row's tiles to the next row's */
    uint32_t y_step;
    uint32_t has_residual;
    uint32_t residual_at; /* bytes from y to the residual, modulo 2^32 */
    uint32_t residual_multipliers; /* the convolution's in the low half */
    int32_t residual_offset;
    uint32_t residual_shift;
    uint32_t tiles_left; /* = tiles */
} dcc_band_tiles;

#define DCC_BAND_SUMS 16u

typedef char dcc_band_tiles_are_what_the_assembly_takes[sizeof(dcc_band_tiles) == 80 ? 1 : -1];

/* r0 list, r1 words, r2 weights, r3 to r5 pixels, r6 to r12 and lr sums. An entry is 13 instructions of 42 bytes; 8 are
 * unrolled, and the first jump leaves out as many as make the rest a multiple of 8. The first of all entries sets the
 * sums and is not among them. Results are saturated to int8, which is all that low and high may ask for. */
__attribute__((naked, noinline, unused)) static void dcc_band_run(__attribute__((unused)) const dcc_band_tiles *tiles) {
    __asm volatile(
        "push {r4-r11, lr}\n"
        "sub sp, #84\n"
        "mov r12, sp\n"
        "ldm r0!, {r1-r8, r10, r11}\n"
        "stm r12!, {r1-r8, r10, r11}\n"
        "subs r4, r3, r1\n"
        "subs r4, #8\n"
        "ubfx r4, r4, #3, #3\n"
        "movs r9, #42\n"
        "mul r4, r9\n"
        "adr r9, 3f\n"
        "sub r9, r4\n"
        "orr r9, #1\n"
        "ldm r0, {r1-r8, r10, r11}\n"
        "stm r12, {r1-r8, r10, r11}\n"
        "str r9, [sp, #12]\n"

        "1:\n" /* a tile */
        "ldrd r0, r1, [sp]\n"
        "ldm r0!, {r2, r3}\n"
        "add r1, r3\n"
        "ldm r1!, {r3, r4, r5}\n"
        "smuad r6, r3, r2\n"
        "smuad r7, r4, r2\n"
        "smuad r8, r5, r2\n"
        "ldm r1!, {r3, r4, r5}\n"
        "smuad r9, r3, r2\n"
        "smuad r10, r4, r2\n"
        "smuad r11, r5, r2\n"
        "ldm r1!, {r3, r4}\n"
        "smuad r12, r3, r2\n"
        "smuad lr, r4, r2\n"
        "ldr pc, [sp, #12]\n"

        "2:\n"
        ".rept 8\n"
        "ldm r0!, {r2, r3}\n"
        "add r1, r3\n"
        "ldm r1!, {r3, r4, r5}\n"
        "smlad r6, r3, r2, r6\n"
        "smlad r7, r4, r2, r7\n"
        "smlad r8, r5, r2, r8\n"
        "ldm r1!, {r3, r4, r5}\n"
        "smlad r9, r3, r2, r9\n"
        "smlad r10, r4, r2, r10\n"
        "smlad r11, r5, r2, r11\n"
        "ldm r1!, {r3, r4}\n"
        "smlad r12, r3, r2, r12\n"
        "smlad lr, r4, r2, lr\n"
        ".endr\n"
        "3:\n"
        "ldr r2, [sp, #8]\n"
        "cmp r0, r2\n"
        "bne 2b\n"

        "ldr r2, [sp, #28]\n"
        "cbz r2, 4f\n"
        "cmp r2, #16\n"
        "beq 8f\n"
        "lsl r6, r2\n"
        "lsl r7, r2\n"
        "lsl r8, r2\n"
        "lsl r9, r2\n"
        "lsl r10, r2\n"
        "lsl r11, r2\n"
        "lsl r12, r2\n"
        "lsl lr, r2\n"

        "4:\n" /* requantise */
        "ldrd r0, r1, [sp, #16]\n"
        "ldr r2, [sp, #24]\n"
        ".irp s, r6, r7, r8, r9, r10, r11, r12, lr\n"
        "smlawb \\s, \\s, r0, r1\n"
        "asr \\s, r2\n"
        "ssat \\s, #8, \\s\n"
        ".endr\n"
        "ldr r2, [sp, #56]\n"
        "cbnz r2, 7f\n"

        "5:\n" /* store */
        "ldrd r0, r1, [sp, #32]\n"
        "add r2, r1, r1, lsl #1\n"
        "strb r6, [r0]\n"
        "strb r8, [r0, r1, lsl #1]\n"
        "strb r10, [r0, r1, lsl #2]\n"
        "strb r12, [r0, r2, lsl #1]\n"
        "add r0, r1\n"
        "strb r7, [r0]\n"
        "strb r9, [r0, r1, lsl #1]\n"
        "strb r11, [r0, r1, lsl #2]\n"
        "strb lr, [r0, r2, lsl #1]\n"
        "sub r0, r1\n"
        "add r0, r0, r1, lsl #3\n"
        "str r0, [sp, #32]\n"
        "ldr r1, [sp, #4]\n"
        "adds r1, #32\n"
        "str r1, [sp, #4]\n"
        "ldr r2, [sp, #76]\n"
        "subs r2, #1\n"
        "str r2, [sp, #76]\n"
        "bne 1b\n"

        "ldr r2, [sp, #44]\n" /* the next row */
        "subs r2, #1\n"
        "beq 6f\n"
        "str r2, [sp, #44]\n"
        "ldr r2, [sp, #40]\n"
        "str r2, [sp, #76]\n"
        "ldrd r2, r3, [sp, #48]\n"
        "add r1, r2\n"
        "add r0, r3\n"
        "str r1, [sp, #4]\n"
        "str r0, [sp, #32]\n"
        "b 1b\n"

        "6:\n"
        "add sp, #84\n"
        "pop {r4-r11, pc}\n"

        "7:\n" /* add the residual */
        "ldrd r0, r1, [sp, #32]\n"
        "ldrd r2, r3, [sp, #60]\n"
        "add r0, r2\n"
        "mov r2, r3\n"
        "ldrd r3, r4, [sp, #68]\n"
        ".macro dcc_band_residual sum, at:vararg\n"
        "ldrsb r5, [r0, \\at]\n"
        "smlabb \\sum, \\sum, r2, r3\n"
        "smlabt \\sum, r5, r2, \\sum\n"
        "asr \\sum, r4\n"
        "ssat \\sum, #8, \\sum\n"
        ".endm\n"
        "dcc_band_residual r6, #0\n"
        "dcc_band_residual r7, r1\n"
        "dcc_band_residual r8, r1, lsl #1\n"
        "dcc_band_residual r10, r1, lsl #2\n"
        "add r0, r0, r1, lsl #1\n"
        "dcc_band_residual r9, r1\n"
        "dcc_band_residual r12, r1, lsl #2\n"
        "add r0, r1\n"
        "dcc_band_residual r11, r1, lsl #1\n"
        "dcc_band_residual lr, r1, lsl #2\n"
        ".purgem dcc_band_residual\n"
        "b 5b\n"

        "8:\n" /* the sums alone */
        "ldr r2, [sp, #32]\n"
        "stm r2, {r6-r12, lr}\n"
        "b 6b\n");
}

#endif
