/* SPDX-License-Identifier: Apache-2.0
 *
 * How sums become int8: what several operators share. >> of a negative number is arithmetic in every compiler that we
 * know of, and the tests would tell.
 */
#ifndef DCC_ARITHMETIC_H
#define DCC_ARITHMETIC_H

#include <stdint.h>

/* What turns a sum into an int8. */
typedef struct {
    uint32_t accumulator_shift; /* p, 0 to 15 */
    uint32_t fraction_bits;     /* k, 0 to 15 */
    int32_t low;
    int32_t high;
} dcc_scaling;

static inline int32_t dcc_clamp(int32_t value, int32_t low, int32_t high) {
    if (value < low) return low;
    return value > high ? high : value;
}

/* (((sum << p) * multiplier) >> 16) + bias >> k, clamped; the multiplier has 16 bits. */
static inline int32_t dcc_requantise(const dcc_scaling *scaling, int32_t multiplier, int32_t bias, int32_t sum) {
    const int32_t shifted = (int32_t)((uint32_t)sum << scaling->accumulator_shift);
    const int32_t product = (int32_t)(((int64_t)shifted * (int16_t)multiplier) >> 16);
    const int32_t value = (int32_t)((uint32_t)product + (uint32_t)bias) >> scaling->fraction_bits;
    return dcc_clamp(value, scaling->low, scaling->high);
}

/* One element of two that are added, before it is shifted; the multipliers have 16 bits. */
static inline int32_t dcc_add(int32_t a, int32_t a_multiplier, int32_t b, int32_t b_multiplier, int32_t offset) {
    return (int32_t)((uint32_t)(a * a_multiplier) + (uint32_t)(b * b_multiplier) + (uint32_t)offset);
}

#endif
