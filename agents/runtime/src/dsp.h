/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether this build may use the DSP instructions of Cortex-M4, M7, M33 and their like (DCC_DSP), and some of them.
 * They are GNU inline assembly, since not every compiler merges ACLE's intrinsics into the rotating forms.
 * -DDCC_PLAIN leaves them out: what is then built in C computes the same bytes.
 */
#ifndef DCC_DSP_H
#define DCC_DSP_H

#include <stdint.h>
#include <string.h>

#if !defined(DCC_PLAIN) && defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && __ARM_ARCH_PROFILE == 'M' && \
    !defined(__ARM_BIG_ENDIAN)
#define DCC_DSP 1

/* The assembly is longer than the strings that ISO C promises. */
#pragma GCC diagnostic ignored "-Woverlength-strings"

/* Four int8 at any address. */
static inline uint32_t dcc_word(const int8_t *at) {
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* Two int16 at a multiple of 4. */
static inline uint32_t dcc_pair(const int16_t *at) {
    uint32_t pair;
    memcpy(&pair, __builtin_assume_aligned(at, 4), sizeof pair);
    return pair;
}

/* Of int8 (0, 1, 2, 3), 0 and 2 as two int16. */
static inline uint32_t dcc_sxtb16(uint32_t bytes) {
    uint32_t pair;
    __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(bytes));
    return pair;
}

/* And 1 and 3. */
static inline uint32_t dcc_sxtb16_8(uint32_t bytes) {
    uint32_t pair;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(bytes));
    return pair;
}

/* The low half of one, and the low half of the other above it. */
static inline uint32_t dcc_pkhbt(uint32_t low, uint32_t high) {
    uint32_t pair;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(pair) : "r"(low), "r"(high));
    return pair;
}

/* The high half of one, and the high half of the other below it. */
static inline uint32_t dcc_pkhtb(uint32_t high, uint32_t low) {
    uint32_t pair;
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(pair) : "r"(high), "r"(low));
    return pair;
}

/* sum + a.low * b.low + a.high * b.high, modulo 2^32. */
static inline int32_t dcc_smlad(uint32_t a, uint32_t b, int32_t sum) {
    int32_t result;
    __asm__("smlad %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
}

#else
#define DCC_DSP 0
#endif

#endif
