/* SPDX-License-Identifier: Apache-2.0
 *
 * CODED weights: a range asymmetric numeral system (Duda, "Asymmetric numeral systems", arXiv:1311.2540) of 32 bits of
 * state, read 16 bits at a time, with frequencies in 4096. Symbol 0 is the zero, symbol i >= 1 is code i - 1.
 */
#include "format.h"
#include "weights.h"

#define FREQUENCY_BITS 12u
#define FREQUENCIES (1u << FREQUENCY_BITS)
#define MOST_COUNT_BITS 4u
#define BUCKET_SHIFT (FREQUENCY_BITS - DCC_BUCKET_BITS)

/* Fills tables->cumulative; 0 if a symbol never comes. counts: of all codes, which no byte follows. */
static int accumulate(uint32_t zero, dcc_bits *counts, uint32_t count_bits, uint32_t codes, uint16_t *cumulative) {
    uint32_t all = 0u;
    uint32_t before = 0u;
    uint32_t i;
    for (i = 1u; i <= codes; i++) {
        const uint32_t count = dcc_take_bits(counts, count_bits);
        const uint32_t share = (2u + count % 2u) << (count / 2u); /* 2, 3, 4, 6, 8, 12, ... 384 */
        cumulative[i] = (uint16_t)share;
        all += share;
    }
    cumulative[0] = (uint16_t)zero;
    for (i = 1u; i <= codes; i++) {
        before += cumulative[i];
        cumulative[i] = (uint16_t)(zero + (FREQUENCIES - zero) * before / all); /* at most 4096 * 63 * 384: 32 bits */
        if (cumulative[i] == cumulative[i - 1u]) return 0;
    }
    return 1;
}

static void fill_buckets(dcc_weight_tables *tables) {
    uint32_t symbol = 0u;
    uint32_t bucket;
    for (bucket = 0u; bucket < 1u << DCC_BUCKET_BITS; bucket++) {
        while (tables->cumulative[symbol] <= bucket << BUCKET_SHIFT) symbol++;
        tables->buckets[bucket] = (uint8_t)symbol;
    }
}

static int open_coded(
    dcc_weights *weights, const dcc_weight_form *form, const uint8_t *begin, const uint8_t *end, uint32_t count,
    dcc_weight_tables *tables) {
    const uint8_t *next = dcc_open_codebook(weights, form, begin, end, tables);
    const uint32_t codes = dcc_codebook_codes(form);
    uint32_t zero, count_bits, counts_bytes;
    dcc_bits counts;
    (void)count;
    if (next == NULL || end - next < 2) return 0;
    zero = dcc_u16(next) % FREQUENCIES;
    count_bits = dcc_u16(next) / FREQUENCIES;
    counts_bytes = (count_bits * codes + 7u) / 8u;
    next += 2;
    if (zero == 0u || count_bits > MOST_COUNT_BITS || (uint32_t)(end - next) < counts_bytes + 4u) return 0;
    dcc_start_bits(&counts, next, next + counts_bytes);
    if (!accumulate(zero, &counts, count_bits, codes, tables->cumulative)) return 0;
    next += counts_bytes;
    fill_buckets(tables);
    weights->encoding = &dcc_encoding_coded;
    weights->state = dcc_u32(next);
    dcc_start_bits(&weights->indices, next + 4, end);
    return (end - next) % 2 == 0;
}

/* The next 16 bits of the state. */
static uint32_t refill(uint32_t state, dcc_bits *words) {
    state <<= 16;
    if (words->next == words->end) {
        words->missing++;
        return state;
    }
    state += dcc_u16(words->next);
    words->next += 2;
    return state;
}

static void take_coded(dcc_weights *weights, int16_t *into, uint32_t count) {
    const dcc_weight_tables *const tables = weights->tables;
    const uint32_t zero = tables->cumulative[0];
    uint32_t state = weights->state;
    int16_t *const end = into + count;
    for (; into != end; into++) {
        const uint32_t slot = state % FREQUENCIES;
        const uint32_t rest = state / FREQUENCIES;
        if (slot < zero) {
            state = zero * rest + slot;
            *into = 0;
        } else {
            uint32_t symbol = tables->buckets[slot >> BUCKET_SHIFT];
            uint32_t first;
            while (slot >= tables->cumulative[symbol]) symbol++;
            first = tables->cumulative[symbol - 1u];
            state = (tables->cumulative[symbol] - first) * rest + slot - first;
            *into = tables->weights[symbol - 1u];
        }
        if (state < DCC_LAST_STATE) state = refill(state, &weights->indices);
    }
    weights->state = state;
}

const dcc_encoding dcc_encoding_coded = {open_coded, take_coded};
