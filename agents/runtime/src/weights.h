/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads a convolution's weights from its bit streams, one after the other.
 */
#ifndef DCC_WEIGHTS_H
#define DCC_WEIGHTS_H

#include "format.h"

/* One decoded filter: tap starts of 2 bytes each, rounded up to whole words, then 4 bytes a nonzero weight. */
static inline uint32_t dcc_scratch_bytes(uint32_t taps, uint32_t nonzeros) {
    return (taps + 2u) / 2u * 4u + 4u * nonzeros;
}

/* Bits are taken from each byte lowest first; a byte is touched only when one of its bits is wanted. */
typedef struct {
    const uint8_t *next;
    uint32_t buffer;
    uint32_t available;
} dcc_bits;

static inline dcc_bits dcc_bits_at(const uint8_t *bytes) {
    dcc_bits bits = {bytes, 0u, 0u};
    return bits;
}

/* The next `count` bits, 0 <= count <= 8. */
static inline uint32_t dcc_take_bits(dcc_bits *bits, uint32_t count) {
    uint32_t value;
    if (bits->available < count) {
        bits->buffer |= (uint32_t)*bits->next++ << bits->available;
        bits->available += 8u;
    }
    value = bits->buffer & ((1u << count) - 1u);
    bits->buffer >>= count;
    bits->available -= count;
    return value;
}

/* Codes that a codebook of codes below 8 bits can have: their indices have fewer bits still. */
#define DCC_NARROW_CODES 64u

typedef struct {
    const uint8_t *codebook; /* a byte a code; NULL where the index is the code */
    int32_t zero_point;
    uint32_t encoding;
    uint32_t index_bits;
    dcc_bits bitmap;
    dcc_bits indices;
} dcc_weights;

/* Offset of the codebook from data_at: it follows 9 bytes of requantisation for each output channel. */
static inline uint32_t dcc_codebook_offset(uint32_t output_channels) { return 9u * output_channels; }

static inline uint32_t dcc_codebook_bytes(const dcc_conv *conv) {
    return conv->bits == conv->code_bits ? 0u : ((conv->code_bits << conv->bits) + 7u) / 8u;
}

/* weight_count: of the whole convolution. narrow_codes: of DCC_NARROW_CODES bytes, to last as long as the weights. */
dcc_weights dcc_weights_at(
    const uint8_t *data, const dcc_conv *conv, uint32_t output_channels, uint32_t weight_count, uint8_t *narrow_codes);

static inline int32_t dcc_next_weight(dcc_weights *weights) {
    uint32_t code;
    if (weights->encoding == DCC_BITMAP && dcc_take_bits(&weights->bitmap, 1u) == 0u) return 0;
    code = dcc_take_bits(&weights->indices, weights->index_bits);
    if (weights->codebook != NULL) code = weights->codebook[code];
    return (int32_t)code - weights->zero_point;
}

#endif
