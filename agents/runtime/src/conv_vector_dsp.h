/* SPDX-License-Identifier: Apache-2.0
 *
 * The inner loop of conv_vector.c for the DSP extension: 1 pixel x 3 pairs of filters.
 */
#ifndef DCC_CONV_VECTOR_DSP_H
#define DCC_CONV_VECTOR_DSP_H

#include "dsp.h"

#define DCC_VECTOR_FILTERS 6u

#if DCC_DSP

#define DCC_VECTOR_GROUP_BYTES 90u /* of code */
#define DCC_VECTOR_ROUND 4u

/* r4 and r5 codes of 4 inputs, r6 inputs 0 and 2, r7 inputs 1 and 3. */
#define DCC_VECTOR_PAIR(codes, even, both)                                                                            \
    "ldmia " codes "!, {r4, r5}\n\t"                                                                                  \
    "smlad " both ", r4, r6, " both "\n\t"                                                                            \
    "uxtb16 r4, r4\n\t"                                                                                               \
    "smlad " both ", r5, r7, " both "\n\t"                                                                            \
    "uxtb16 r5, r5\n\t"                                                                                               \
    "smlad " even ", r4, r6, " even "\n\t"                                                                            \
    "smlad " even ", r5, r7, " even "\n\t"

#define DCC_VECTOR_GROUP                                                                                              \
    "ldr r6, [r0], #4\n\t"\
    "sxtb16 r7, r6, ror #8\n\t"                                                                                       \
    "sxtb16 r6, r6\n\t"                                                                                               \
    DCC_VECTOR_PAIR("r1", "r8", "r9")                                                                                 \
    DCC_VECTOR_PAIR("r2", "r10", "r11")                                                                               \
    DCC_VECTOR_PAIR("r3", "r12", "lr")

/* Adds groups of 4 inputs to the sums of 1 to 3 pairs of filters, which lie pair_bytes apart; what it does to the sums
 * of other pairs means nothing. */
static inline void dcc_vector_groups(
    const int8_t *x, uint32_t groups, const uint8_t *codes, uint32_t pair_bytes, uint32_t pairs,
    uint32_t sums[DCC_VECTOR_FILTERS]) {
    struct {
        const int8_t *x;
        const uint8_t *codes[3];
        uint32_t skipped; /* bytes of code in the first round */
        const int8_t *end;
        uint32_t *sums;
    } run;
    register const void *r0 __asm__("r0") = &run;
    uint32_t pair;
    if (groups == 0u) return;
    for (pair = 0u; pair < 3u; pair++) {
        run.codes[pair] = codes + pair_bytes * (pair < pairs ? pair : 0u);
        sums[2u * pair + 1u] = (sums[2u * pair + 1u] << 8) + sums[2u * pair];
    }
    run.x = x;
    run.skipped = (0u - groups) % DCC_VECTOR_ROUND * DCC_VECTOR_GROUP_BYTES;
    run.end = x + 4u * groups;
    run.sums = sums;
    __asm__ volatile(
        "push {r4-r11, lr}\n\t"
        "ldmia r0, {r0-r6}\n\t" /* r0 x, r1 to r3 codes, r4 skipped, r5 end, r6 sums */
        "push {r5, r6}\n\t"
        "ldmia.w r6, {r8-r12, lr}\n\t"
        ".balign 4\n\t"
        "add pc, r4\n\t"
        "nop\n"
        "1:\n\t"
        DCC_VECTOR_GROUP DCC_VECTOR_GROUP DCC_VECTOR_GROUP DCC_VECTOR_GROUP
        "ldr r4, [sp]\n\t"
        "cmp r0, r4\n\t"
        "bne 1b\n\t"
        "pop {r5, r6}\n\t"
        "stmia.w r6, {r8-r12, lr}\n\t"
        "pop {r4-r11, lr}"
        : "+r"(r0)
        :
        : "r1", "r2", "r3", "ip", "cc", "memory");
    for (pair = 0u; pair < 3u; pair++) {
        sums[2u * pair + 1u] = (uint32_t)((int32_t)(sums[2u * pair + 1u] - sums[2u * pair]) >> 8);
    }
}

#endif

#endif
