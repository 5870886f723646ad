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

uint32_t dcc_take_bits(dcc_bits *bits, uint32_t count) { return dcc_take_bits_inline(bits, count); }
