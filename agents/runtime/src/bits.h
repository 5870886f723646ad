/* SPDX-License-Identifier: Apache-2.0
 *
 * A stream of bits, taken from each byte lowest first. It never reads behind its end.
 */
#ifndef DCC_BITS_H
#define DCC_BITS_H

#include <stdint.h>

typedef struct {
    const uint8_t *next;
    const uint8_t *end;
    uint32_t buffer;
    uint32_t available; /* bits in the buffer */
    uint32_t missing;   /* bytes that were wanted behind the end, and were taken for 0 */
} dcc_bits;

void dcc_start_bits(dcc_bits *bits, const uint8_t *begin, const uint8_t *end);

/* The next `count` bits, 0 <= count <= 16. */
static inline uint32_t dcc_take_bits_inline(dcc_bits *bits, uint32_t count) {
    uint32_t value;
    while (bits->available < count) {
        if (bits->end - bits->next >= 2) {
            bits->buffer |= ((uint32_t)bits->next[0] | ((uint32_t)bits->next[1] << 8)) << bits->available;
            bits->next += 2;
            bits->available += 16u;
        } else {
            if (bits->next != bits->end) {
                bits->buffer |= (uint32_t)*bits->next++ << bits->available;
            } else {
                bits->missing++;
            }
            bits->available += 8u;
        }
    }
    value = bits->buffer & ((1u << count) - 1u);
    bits->buffer >>= count;
    bits->available -= count;
    return value;
}

/* The same where a call is quick enough. */
uint32_t dcc_take_bits(dcc_bits *bits, uint32_t count);

/* Whether what was taken ends in the last byte. */
static inline int dcc_bits_ended(const dcc_bits *bits) {
    return bits->next == bits->end && bits->available < 8u && bits->missing == 0u;
}

#endif
