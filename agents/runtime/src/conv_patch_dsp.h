/* SPDX-License-Identifier: Apache-2.0
 *
 * How patches lie for the DSP extension: a group is 2 x 4 words, inputs 0 and 2 of the 4 pixels, then 1 and 3; the odd
 * filters' sums start as 256 times theirs and the even filter's.
 */
#ifndef DCC_CONV_PATCH_DSP_H
#define DCC_CONV_PATCH_DSP_H

#define DCC_ONES 0x00010001u /* two int16 */

static inline void dcc_patch_start(const dcc_patch *patch, uint32_t pixel, uint32_t even, uint32_t odd) {
    patch->words[pixel] = even;
    patch->words[DCC_TILE_PIXELS + pixel] = (odd << 8) + even;
}

/* One of 4 inputs, 0 to 3, of a group. */
static inline void dcc_patch_put(uint32_t *group, uint32_t pixel, uint32_t input, int32_t value) {
    int16_t *const values = (int16_t *)(void *)(group + DCC_TILE_PIXELS * (input & 1u) + pixel);
    values[input >> 1] = (int16_t)value;
}

/* Groups of 4 equal inputs. */
static inline void dcc_patch_fill(uint32_t *group, uint32_t pixel, int32_t value, uint32_t groups) {
    const uint32_t pair = ((uint32_t)value & 0xffffu) * 0x10001u;
    for (group += pixel; groups > 0u; groups--) {
        group[0] = pair;
        group[DCC_TILE_PIXELS] = pair;
        group += DCC_GROUP_WORDS;
    }
}

/* Puts 4 inputs of a pixel; gives `sum` + their sum. */
static inline int32_t dcc_patch_bytes(uint32_t *group, uint32_t pixel, uint32_t bytes, int32_t sum) {
    const uint32_t first = dcc_sxtb16(bytes);
    const uint32_t second = dcc_sxtb16_8(bytes);
    group[pixel] = first;
    group[DCC_TILE_PIXELS + pixel] = second;
    return dcc_smlad(first, DCC_ONES, dcc_smlad(second, DCC_ONES, sum));
}

/* Copies groups of 4 inputs of a pixel; gives `sum` + their sum. */
static inline int32_t dcc_patch_copy(
    uint32_t *group, uint32_t pixel, const int8_t *from, uint32_t groups, int32_t sum) {
    uint32_t *at = group + pixel;
    if ((groups & 1u) != 0u) {
        sum = dcc_patch_bytes(group, pixel, dcc_word(from), sum);
        at += DCC_GROUP_WORDS;
        from += 4;
    }
    for (groups >>= 1; groups > 0u; groups--) {
        uint32_t a, b, c, d;
        __asm__ volatile(
            "ldr %[b], [%[from]], #4\n\t"
            "ldr %[d], [%[from]], #4\n\t"
            "sxtb16 %[a], %[b]\n\t"
            "sxtb16 %[b], %[b], ror #8\n\t"
            "sxtb16 %[c], %[d]\n\t"
            "sxtb16 %[d], %[d], ror #8\n\t"
            "smlad %[sum], %[a], %[ones], %[sum]\n\t"
            "smlad %[sum], %[b], %[ones], %[sum]\n\t"
            "smlad %[sum], %[c], %[ones], %[sum]\n\t"
            "smlad %[sum], %[d], %[ones], %[sum]\n\t"
            "str %[b], [%[at], #16]\n\t"
            "str %[c], [%[at], #32]\n\t"
            "str %[d], [%[at], #48]\n\t"
            "str %[a], [%[at]], #64"
            : [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c), [d] "=&r"(d), [from] "+r"(from), [at] "+r"(at), [sum] "+r"(sum)
            : [ones] "r"(DCC_ONES)
            : "memory");
    }
    return sum;
}

#define DCC_COPY_BYTES 28u /* of code */
#define DCC_COPY_ROUND 4u

/* Puts the 4 inputs in r2 and adds them to r5. */
#define DCC_PUT                                                                                                       \
    "sxtb16 r3, r2, ror #8\n\t"                                                                                       \
    "sxtb16 r2, r2\n\t"                                                                                              \
    "smlad r5, r3, r6, r5\n\t"                                                                                       \
    "smlad r5, r2, r6, r5\n\t"                                                                                       \
    "str.w r3, [r1, #16]\n\t"                                                                                        \
    "str.w r2, [r1], #32\n\t"

#define DCC_COPY "ldr.w r2, [r0], #4\n\t" DCC_PUT

/* Pixels whose taps all lie inside, and their starting sums. r0 from, r1 to, r2 and r3 inputs, r4 end of the kernel row,
 * r5 sum, r6 two ones, r7 skipped, r8 row_bytes, r9 gap, r10 rows left, r11 the pixel's first input, ip its first
 * starting sum, lr rows. */
static inline void dcc_patch_inner(const dcc_inner *inner) {
    register const dcc_inner *r0 __asm__("r0") = inner;
    __asm__ volatile(
        "push {r4-r11, lr}\n\t"
        "ldmia.w r0!, {r1-r8}\n\t"
        "push {r1-r8}\n\t"
        "ldmia.w r0, {r7-r9, r11, r12, lr}\n\t"
        "mov r6, #0x00010001\n"
        "1:\n\t" /* pixel */
        "mov r0, r11\n\t"
        "ldr r1, [sp, #24]\n\t"
        "ldr r5, [sp, #28]\n\t"
        "add r1, r12\n\t"
        "mov r10, lr\n"
        "2:\n\t" /* kernel row */
        "add r4, r0, r8\n\t"
        ".balign 4\n\t"
        "add pc, r7\n\t"
        "nop\n"
        "3:\n\t"
        DCC_COPY DCC_COPY DCC_COPY DCC_COPY
        "cmp r0, r4\n\t"
        "bne 3b\n\t"
        "ldr r4, [sp, #16]\n\t"
        "cbz r4, 4f\n\t"
        "ldr r3, [sp, #20]\n\t"
        "ldr r2, [r0, r3]\n\t"
        "lsrs r2, r4\n\t"
        DCC_PUT
        "4:\n\t"
        "add r0, r9\n\t"
        "subs r10, #1\n\t"
        "bne 2b\n\t"
        "ldr r2, [sp, #0]\n\t"
        "ldr r3, [sp, #4]\n\t"
        "ldr r4, [sp, #8]\n\t"
        "add r11, r2\n\t"
        "mul r3, r3, r5\n\t"
        "mul r4, r4, r5\n\t"
        "ldr r2, [sp, #12]\n\t"
        "str r4, [r12, #16]\n\t"
        "str r3, [r12], #4\n\t"
        "cmp r12, r2\n\t"
        "bne 1b\n\t"
        "add sp, #32\n\t"
        "pop {r4-r11, lr}"
        : "+r"(r0)
        :
        : "r1", "r2", "r3", "ip", "cc", "memory");
}

/* Neighbouring pixels whose windows are 3 wide and move by 1 see 6 columns of the image together. */
#define DCC_SHARED_COLUMNS 6u
#define DCC_SHARED_KERNEL 3

/* Its offsets are in the code below. */
typedef struct {
    const int8_t *from; /* 0: first column */
    uint32_t channels;  /* 4: 4 n */
    uint32_t *to;       /* 8: first group */
    uint32_t rows;      /* 12 */
    uint32_t gap;       /* 16: bytes from the end of a column's channels to the next row's */
    int32_t *sums;      /* 20: of each column's inputs */
} dcc_columns;

/* 4 inputs of 6 columns, from r0 on and r1 on (3 columns later), r2 bytes from column to column. */
#define DCC_LOAD_COLUMNS(first, step)                                                                                 \
    "ldr.w r5, [r0, r2]\n\t"                                                                                          \
    "ldr.w r6, [r0, r2, lsl #1]\n\t"                                                                                  \
    "ldr.w r4, [r0], #" first "\n\t"                                                                                  \
    "ldr.w r8, [r1, r2]\n\t"                                                                                          \
    "ldr.w r9, [r1, r2, lsl #1]\n\t"                                                                                  \
    "ldr.w r7, [r1], #" first "\n\t"                                                                                  \
    "sxtb16 r4, r4" step "\n\t"                                                                                       \
    "sxtb16 r5, r5" step "\n\t"                                                                                       \
    "sxtb16 r6, r6" step "\n\t"                                                                                       \
    "sxtb16 r7, r7" step "\n\t"                                                                                       \
    "sxtb16 r8, r8" step "\n\t"                                                                                       \
    "sxtb16 r9, r9" step "\n\t"                                                                                       \
    "stmia.w r3!, {r4-r7}\n\t"                                                                                        \
    "stmia.w r10!, {r5-r8}\n\t"                                                                                       \
    "stmia.w r11!, {r6-r9}\n\t"

#define DCC_SUM_COLUMNS                                                                                               \
    "ldmia.w r0!, {r3, r4, r11, r12}\n\t"                                                                             \
    "smlad r5, r3, r2, r5\n\t"                                                                                        \
    "smlad r6, r4, r2, r6\n\t"                                                                                        \
    "ldrd r3, r4, [r1], #16\n\t"                                                                                      \
    "smlad r7, r11, r2, r7\n\t"                                                                                       \
    "smlad r8, r12, r2, r8\n\t"                                                                                       \
    "smlad r9, r3, r2, r9\n\t"                                                                                        \
    "smlad r10, r4, r2, r10\n\t"

/* Each column is loaded and widened for all pixels that see it; then the columns are summed where they lie in the
 * patch: the first tap of all pixels, the last one of the last two. r3, r10, r11 groups of the first, second, third
 * tap. */
__attribute__((noinline)) static void dcc_patch_columns(const dcc_columns *columns) {
    register const dcc_columns *r0 __asm__("r0") = columns;
    __asm__ volatile(
        "push {r4-r11, lr}\n\t"
        "ldmia.w r0, {r4-r9}\n\t"
        "push {r4-r9}\n\t"
        "mov r0, r4\n\t"
        "mov r2, r5\n\t"
        "mov r3, r6\n\t"
        "mov lr, r7\n"
        "1:\n\t" /* kernel row */
        "add r1, r2, r2, lsl #1\n\t"
        "add r1, r0\n\t"
        "add r10, r3, r2, lsl #3\n\t"
        "add r11, r10, r2, lsl #3\n\t"
        "mov r12, r10\n"
        "2:\n\t"
        DCC_LOAD_COLUMNS("0", "")
        DCC_LOAD_COLUMNS("4", ", ror #8")
        "cmp r3, r12\n\t"
        "bne 2b\n\t"
        "ldr r4, [sp, #16]\n\t"
        "mov r3, r11\n\t"
        "add r0, r4\n\t"
        "subs.w lr, lr, #1\n\t"
        "bne 1b\n\t"
        "ldr r0, [sp, #8]\n\t"
        "str r3, [sp, #12]\n\t"
        "mov r2, #0x00010001\n\t"
        "movs r5, #0\n\t"
        "movs r6, #0\n\t"
        "movs r7, #0\n\t"
        "mov r8, r5\n\t"
        "mov r9, r5\n\t"
        "mov r10, r5\n"
        "3:\n\t" /* kernel row */
        "ldr r3, [sp, #4]\n\t"
        "add lr, r0, r3, lsl #3\n\t"
        "add r1, lr, r3, lsl #3\n\t"
        "adds r1, #8\n"
        "4:\n\t"
        DCC_SUM_COLUMNS
        DCC_SUM_COLUMNS
        "cmp r0, lr\n\t"
        "bne 4b\n\t"
        "ldr r3, [sp, #12]\n\t"
        "sub.w r0, r1, #8\n\t"
        "cmp r0, r3\n\t"
        "bne 3b\n\t"
        "ldr r0, [sp, #20]\n\t"
        "stmia.w r0, {r5-r10}\n\t"
        "add sp, #24\n\t"
        "pop {r4-r11, lr}"
        : "+r"(r0)
        :
        : "r1", "r2", "r3", "ip", "cc", "memory");
}

#endif
