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

/* Parts the sums of the odd filters from those of both; the next triple's codes begin where this one's end. */
#define DCC_VECTOR_PART                                                                                               \
    "mov r1, r3\n\t"                                                                                                  \
    "sub r9, r9, r8\n\t"                                                                                              \
    "sub r11, r11, r10\n\t"                                                                                           \
    "sub lr, lr, r12\n\t"                                                                                             \
    "asr r9, r9, #8\n\t"                                                                                              \
    "asr r11, r11, #8\n\t"                                                                                            \
    "asr lr, lr, #8\n\t"

/* r2 bias, r3 multiplier, r4 fraction bits. */
#define DCC_VECTOR_FINISH(sum)                                                                                        \
    "ldmia r0!, {r2, r3}\n\t"                                                                                         \
    "smlawb " sum ", " sum ", r3, r2\n\t"                                                                             \
    "asr " sum ", " sum ", r4\n\t"                                                                                    \
    "ssat " sum ", #8, " sum "\n\t"                                                                                   \
    "strb " sum ", [r5], #1\n\t"

/* Of fraction_bits: the sums of one triple are wanted, or they are shifted left first, by the bits' second byte. */
#define DCC_VECTOR_SPECIAL (1u << 31)

/* What dcc_vector_triples works on. Its offsets are in the code below. */
typedef struct {
    const int8_t *x;            /* 0 */
    uint32_t pair_bytes;        /* 4: of codes, from pair to pair */
    uint32_t skipped;           /* 8: bytes of code in the first round */
    uint32_t even;              /* 12: what the sums of the even filters start from, */
    uint32_t both;              /* 16: and 256 times what those of the odd do, added to it */
    const int8_t *x_end;        /* 20 */
    const dcc_channel *channel; /* 24: of the first filter */
    uint32_t fraction_bits;     /* 28: in the first byte; see DCC_VECTOR_SPECIAL */
    int8_t *y;                  /* 32: NULL where the sums are wanted */
    const uint8_t *codes_end;   /* 36: of the last triple */
    uint32_t *sums;             /* 40: even filter and both, pair after pair */
    const uint8_t *codes;       /* 44: of the first triple */
} dcc_vector;

/* 3 pairs of filters after the other. */
__attribute__((noinline)) static void dcc_vector_triples(const dcc_vector *vector) {
    register const dcc_vector *r0 __asm__("r0") = vector;
    __asm__ volatile(
        "push {r4-r11, lr}\n\t"
        "ldmia.w r0, {r1-r12}\n\t"
        "push {r1-r12}\n\t"
        "mov r1, r12\n"
        "1:\n\t" /* the next triple */
        "ldr r0, [sp, #0]\n\t"
        "ldr r4, [sp, #4]\n\t"
        "ldr r5, [sp, #8]\n\t"
        "ldr r8, [sp, #12]\n\t"
        "ldr r9, [sp, #16]\n\t"
        "adds r2, r1, r4\n\t"
        "adds r3, r2, r4\n\t"
        "mov r10, r8\n\t"
        "mov r11, r9\n\t"
        "mov r12, r8\n\t"
        "mov lr, r9\n\t"
        ".balign 4\n\t"
        "add pc, r5\n\t"
        "nop\n"
        "2:\n\t"
        DCC_VECTOR_GROUP DCC_VECTOR_GROUP DCC_VECTOR_GROUP DCC_VECTOR_GROUP
        "ldr r4, [sp, #20]\n\t"
        "cmp r0, r4\n\t"
        "bne 2b\n\t"
        "ldr r5, [sp, #32]\n\t"
        "ldr r0, [sp, #24]\n\t"
        "ldr r4, [sp, #28]\n\t"
        "cmp r4, #0\n\t"
        "blt 3f\n\t"
        DCC_VECTOR_PART
        "5:\n\t"
        DCC_VECTOR_FINISH("r8")
        DCC_VECTOR_FINISH("r9")
        DCC_VECTOR_FINISH("r10")
        DCC_VECTOR_FINISH("r11")
        DCC_VECTOR_FINISH("r12")
        DCC_VECTOR_FINISH("lr")
        "str r0, [sp, #24]\n\t"
        "str r5, [sp, #32]\n\t"
        "ldr r4, [sp, #36]\n\t"
        "cmp r1, r4\n\t"
        "bne 1b\n\t"
        "b 4f\n"
        "3:\n\t"
        "cmp r5, #0\n\t"
        "beq 6f\n\t"
        DCC_VECTOR_PART
        "ubfx r6, r4, #8, #8\n\t"
        "lsl r8, r8, r6\n\t"
        "lsl r9, r9, r6\n\t"
        "lsl r10, r10, r6\n\t"
        "lsl r11, r11, r6\n\t"
        "lsl r12, r12, r6\n\t"
        "lsl lr, lr, r6\n\t"
        "b 5b\n"
        "6:\n\t"
        "ldr r4, [sp, #40]\n\t"
        "stmia.w r4, {r8-r12, lr}\n"
        "4:\n\t"
        "add sp, #48\n\t"
        "pop {r4-r11, lr}"
        : "+r"(r0)
        :
        : "r1", "r2", "r3", "ip", "cc", "memory");
}

/* groups: of 4 inputs, at least 1. */
static inline dcc_vector dcc_vector_of(const int8_t *x, uint32_t groups, const uint8_t *codes, uint32_t pair_bytes) {
    dcc_vector vector = {0};
    vector.x = x;
    vector.pair_bytes = pair_bytes;
    vector.skipped = (0u - groups) % DCC_VECTOR_ROUND * DCC_VECTOR_GROUP_BYTES;
    vector.x_end = x + 4u * groups;
    vector.codes = codes;
    return vector;
}

/* Adds groups of 4 inputs to the sums of 1 pair of filters, or of 3. */
static inline void dcc_vector_add(
    const int8_t *x, uint32_t groups, const uint8_t *codes, uint32_t pair_bytes, uint32_t pairs, uint32_t *sums) {
    uint32_t found[DCC_VECTOR_FILTERS];
    dcc_vector vector = dcc_vector_of(x, groups, codes, pairs == 1u ? 0u : pair_bytes);
    uint32_t i;
    if (groups == 0u) return;
    vector.sums = found;
    vector.fraction_bits = DCC_VECTOR_SPECIAL;
    dcc_vector_triples(&vector);
    for (i = 0u; i < 2u * pairs; i += 2u) {
        sums[i] += found[i];
        sums[i + 1u] += (uint32_t)((int32_t)(found[i + 1u] - found[i]) >> 8);
    }
}

#define DCC_VECTOR_CHUNK 28u /* filters */

/* Computes the outputs of all whole pairs of filters, if no results have to be clamped within int8 and there is enough
 * to do; gives how many they are. The last triple of pairs goes back over what is done where it has to be filled up.
 * sum: of all inputs. */
static inline uint32_t dcc_vector_whole(
    const dcc_conv_job *job, uint32_t groups, uint32_t pair_bytes, uint32_t sum, dcc_channels *channels) {
    const dcc_scaling *const scaling = &job->scaling;
    const uint32_t whole = job->output_channels & ~1u;
    const uint32_t zero_point = (uint32_t)job->weight_zero_point;
    uint32_t first;
    uint32_t count;
    dcc_vector vector = dcc_vector_of(job->x, groups, job->raw, pair_bytes);
    if (scaling->low != -128 || scaling->high != 127 || job->residual.x != NULL || whole < DCC_VECTOR_FILTERS ||
        groups == 0u) {
        return 0u;
    }
    vector.even = 0u - zero_point * sum;
    vector.both = ((128u - zero_point) * sum << 8) + vector.even;
    vector.fraction_bits = scaling->fraction_bits;
    if (scaling->accumulator_shift != 0u) vector.fraction_bits |= DCC_VECTOR_SPECIAL | scaling->accumulator_shift << 8;
    for (first = 0u; first < whole; first += count) {
        dcc_channel decoded[DCC_VECTOR_CHUNK];
        const dcc_channel *channel = decoded;
        const uint32_t left = whole - first;
        uint32_t triples;
        if (channels->wide) {
            count = left;
            channel = (const dcc_channel *)(const void *)channels->next;
            channels->next += sizeof(dcc_channel) * count;
        } else {
            count = left <= DCC_VECTOR_CHUNK ? left : DCC_VECTOR_CHUNK / DCC_VECTOR_FILTERS * DCC_VECTOR_FILTERS;
            dcc_take_channels(channels, decoded, count);
        }
        triples = count / DCC_VECTOR_FILTERS;
        vector.codes = job->raw + pair_bytes / 2u * first;
        vector.codes_end = vector.codes + pair_bytes * 3u * triples;
        vector.channel = channel;
        vector.y = job->y + first;
        dcc_vector_triples(&vector);
        if (count % DCC_VECTOR_FILTERS != 0u) {
            const uint32_t again = count - DCC_VECTOR_FILTERS;
            vector.codes += pair_bytes / 2u * again;
            vector.codes_end = vector.codes + pair_bytes * 3u;
            vector.channel += again;
            vector.y += again;
            dcc_vector_triples(&vector);
        }
    }
    return whole;
}

#endif

#endif
