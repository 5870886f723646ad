/* SPDX-License-Identifier: Apache-2.0
 *
 * Watermarks: memory is painted, and what has lost its paint later has been used. A word that is overwritten with the paint's
 * own value goes unnoticed, which for the outermost word of a region is as good as impossible.
 */
#ifndef PAINT_H
#define PAINT_H

#include <stdint.h>

#define PAINT 0xa55ac33cu

/* volatile: no call to memset, whose frame would lie in the stack that is being painted. */
static inline void paint(volatile uint32_t *begin, volatile uint32_t *end) {
    while (begin < end) *begin++ = PAINT;
}

/* The first word from begin on that has lost its paint, or end. */
static inline uint32_t *first_used(uint32_t *begin, uint32_t *end) {
    while (begin < end && *begin == PAINT) begin++;
    return begin;
}

/* One past the last word before end that has lost its paint, or begin. */
static inline uint32_t *last_used(uint32_t *begin, uint32_t *end) {
    while (begin < end && end[-1] == PAINT) end--;
    return end;
}

#endif
