/* SPDX-License-Identifier: Apache-2.0
 *
 * Decodes a convolution's weights, in order, some at a time. RAW weights are not decoded: kernels read them as they lie.
 */
#ifndef DCC_WEIGHTS_H
#define DCC_WEIGHTS_H

#include <stddef.h>

#include "bits.h"

enum { DCC_RAW = 0, DCC_INDEXED = 1, DCC_BITMAP = 2, DCC_CODED = 3, DCC_ENCODINGS = 4 };

/* How weights are stored. */
typedef struct {
    uint32_t encoding;
    uint32_t index_bits; /* at most 8; CODED: of a symbol, 1 to 6 */
    uint32_t gap_bits;   /* at most 8 */
    int32_t zero_point;
} dcc_weight_form;

#define DCC_TABLE_BITS 7u  /* of an index; 8 bits are the code itself */
#define DCC_SYMBOL_BITS 6u /* the most of a CODED one */
#define DCC_BUCKET_BITS 6u

/* What decoding looks up; it has to last as long as the weights. */
typedef struct {
    int16_t weights[1u << DCC_TABLE_BITS];       /* of every index that has no more bits */
    uint16_t cumulative[1u << DCC_SYMBOL_BITS];  /* CODED: where each symbol's slots end, of 4096 */
    uint8_t buckets[1u << DCC_BUCKET_BITS];      /* CODED: for the highest bits of a slot, its first symbol */
} dcc_weight_tables;

typedef struct dcc_encoding dcc_encoding;

typedef struct {
    const dcc_encoding *encoding;
    const dcc_weight_tables *tables;
    int32_t zero_point;
    uint32_t index_bits;
    uint32_t state;   /* CODED; where nothing is coded, what a state ends with */
    dcc_bits bitmap;  /* BITMAP */
    dcc_bits indices; /* CODED: only where the words lie */
} dcc_weights;

/* How one encoding is decoded; only those that a build names are linked. */
struct dcc_encoding {
    /* Positions the weights at the first of count; 0 if the description of the data is not valid. */
    int (*open)(
        dcc_weights *weights, const dcc_weight_form *form, const uint8_t *begin, const uint8_t *end, uint32_t count,
        dcc_weight_tables *tables);
    void (*take)(dcc_weights *weights, int16_t *into, uint32_t count);
};

extern const dcc_encoding dcc_encoding_indexed;
extern const dcc_encoding dcc_encoding_bitmap;
extern const dcc_encoding dcc_encoding_coded;

/* The next `count` weights, each code - zero point or 0. Behind the last byte of the data all bits are taken for 0. */
static inline void dcc_take_weights(dcc_weights *weights, int16_t *into, uint32_t count) {
    weights->encoding->take(weights, into, count);
}

/* The next weight alone: for where speed does not matter. */
static inline int32_t dcc_next_weight(dcc_weights *weights) {
    int16_t weight;
    dcc_take_weights(weights, &weight, 1u);
    return weight;
}

/* Whether the weights were cut short: more was taken than there is. */
static inline int dcc_weights_short(const dcc_weights *weights) { return weights->indices.missing != 0u; }

#define DCC_LAST_STATE (1u << 16)

/* Whether the data end exactly where the last weight that was taken does. */
static inline int dcc_weights_ended(const dcc_weights *weights) {
    return dcc_bits_ended(&weights->indices) && weights->state == DCC_LAST_STATE;
}

/* In the codebook. */
static inline uint32_t dcc_codebook_codes(const dcc_weight_form *form) {
    return (1u << form->index_bits) - (form->encoding == DCC_CODED ? 1u : 0u);
}

/* What encodings with a codebook share: sets everything but bitmap, indices and state, and gives where the codebook
 * ends; NULL if it does not end before `end`. */
const uint8_t *dcc_open_codebook(
    dcc_weights *weights, const dcc_weight_form *form, const uint8_t *begin, const uint8_t *end,
    dcc_weight_tables *tables);

#endif
