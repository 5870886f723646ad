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

typedef struct {
    const uint8_t *codebook; /* none where indices have as many bits as codes */
    int32_t zero_point;
    uint32_t encoding;
    uint32_t index_bits;
    uint32_t code_bits;
    dcc_bits bitmap;
    dcc_bits indices;
} dcc_weights;

/* Offset of the codebook from data_at: it follows 9 bytes of requantisation for each output channel. */
static inline uint32_t dcc_codebook_offset(uint32_t output_channels) { return 9u * output_channels; }

static inline uint32_t dcc_codebook_bytes(const dcc_conv *conv) {
    return conv->bits == conv->code_bits ? 0u : ((conv->code_bits << conv->bits) + 7u) / 8u;
}

/* weight_count: of the whole convolution. */
static inline dcc_weights dcc_weights_at(
    const uint8_t *data, const dcc_conv *conv, uint32_t output_channels, uint32_t weight_count) {
    const uint8_t *codebook = data + dcc_codebook_offset(output_channels);
    const uint8_t *stream = codebook + dcc_codebook_bytes(conv);
    dcc_weights weights;
    weights.codebook = codebook;
    weights.zero_point = conv->weight_zero_point;
    weights.encoding = conv->encoding;
    weights.index_bits = conv->bits;
    weights.code_bits = conv->code_bits;
    weights.bitmap = dcc_bits_at(stream);
    weights.indices = dcc_bits_at(conv->encoding == DCC_BITMAP ? stream + (weight_count + 7u) / 8u : stream);
    return weights;
}

/* The code that an index stands for; it may lie across two bytes of the codebook. */
static inline uint32_t dcc_code(const dcc_weights *weights, uint32_t index) {
    const uint32_t bits = weights->code_bits;
    const uint32_t first = index * bits;
    const uint8_t *at = weights->codebook + first / 8u;
    uint32_t code;
    if (weights->index_bits == bits) return index;
    code = (uint32_t)at[0] >> first % 8u;
    if (first % 8u + bits > 8u) code |= (uint32_t)at[1] << (8u - first % 8u);
    return code & ((1u << bits) - 1u);
}

static inline int32_t dcc_next_weight(dcc_weights *weights) {
    if (weights->encoding == DCC_BITMAP && dcc_take_bits(&weights->bitmap, 1u) == 0u) return 0;
    return (int32_t)dcc_code(weights, dcc_take_bits(&weights->indices, weights->index_bits)) - weights->zero_point;
}

#endif
