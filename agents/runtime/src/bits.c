/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams of bits, for where a call is quick enough.
 */
#include "bits.h"

void dcc_start_bits(dcc_bits *bits, const uint8_t *begin, const uint8_t *end) {
    bits->next = begin;
    bits->end = end;
    bits->buffer = 0u;
    bits->available = 0u;
    bits->missing = 0u;
}

uint32_t dcc_take_bits(dcc_bits *bits, uint32_t count) {
    uint32_t value = 0u;
    uint32_t taken = 0u;
    while (taken < count) {
        const uint32_t part = count - taken < 8u ? count - taken : 8u;
        value |= dcc_take_few_bits(bits, part) << taken;
        taken += part;
    }
    return value;
}
