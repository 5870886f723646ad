/* SPDX-License-Identifier: Apache-2.0
 *
 * INDEXED and BITMAP weights, and the codebooks of all encodings.
 */
#include "weights.h"

const uint8_t *dcc_open_codebook(
    dcc_weights *weights, const dcc_weight_form *form, const uint8_t *begin, const uint8_t *end,
    dcc_weight_tables *tables) {
    const uint32_t bytes = form->index_bits == form->code_bits ? 0u : ((form->code_bits << form->index_bits) + 7u) / 8u;
    if (bytes > (uint32_t)(end - begin)) return NULL;
    weights->tables = tables;
    weights->zero_point = form->zero_point;
    weights->index_bits = form->index_bits;
    weights->state = DCC_LAST_STATE;
    weights->codebook = begin;
    if (bytes == 0u) {
        weights->codebook = NULL;
    } else if (form->code_bits < 8u) {
        dcc_bits codes;
        uint32_t i;
        dcc_start_bits(&codes, begin, end);
        for (i = 0u; i < 1u << form->index_bits; i++) tables->codes[i] = (uint8_t)dcc_take_bits(&codes, form->code_bits);
        weights->codebook = tables->codes;
    }
    return begin + bytes;
}

static int open_indexed(
    dcc_weights *weights, const dcc_weight_form *form, const uint8_t *begin, const uint8_t *end, uint32_t count,
    dcc_weight_tables *tables) {
    const uint8_t *indices = dcc_open_codebook(weights, form, begin, end, tables);
    (void)count;
    if (indices == NULL) return 0;
    weights->encoding = &dcc_encoding_indexed;
    dcc_start_bits(&weights->indices, indices, end);
    return 1;
}

static void take_indexed(dcc_weights *weights, int16_t *into, uint32_t count) {
    dcc_bits indices = weights->indices;
    const uint8_t *const codebook = weights->codebook;
    const uint32_t index_bits = weights->index_bits;
    const int32_t zero_point = weights->zero_point;
    int16_t *const end = into + count;
    while (into != end) *into++ = dcc_weight_of(codebook, dcc_take_bits_inline(&indices, index_bits), zero_point);
    weights->indices = indices;
}

const dcc_encoding dcc_encoding_indexed = {open_indexed, take_indexed};

static int open_bitmap(
    dcc_weights *weights, const dcc_weight_form *form, const uint8_t *begin, const uint8_t *end, uint32_t count,
    dcc_weight_tables *tables) {
    const uint8_t *bitmap = dcc_open_codebook(weights, form, begin, end, tables);
    const uint32_t bytes = count / 8u + (count % 8u != 0u);
    if (bitmap == NULL || bytes > (uint32_t)(end - bitmap)) return 0;
    weights->encoding = &dcc_encoding_bitmap;
    dcc_start_bits(&weights->bitmap, bitmap, bitmap + bytes);
    dcc_start_bits(&weights->indices, bitmap + bytes, end);
    return 1;
}

static void take_bitmap(dcc_weights *weights, int16_t *into, uint32_t count) {
    dcc_bits bitmap = weights->bitmap;
    dcc_bits indices = weights->indices;
    const uint8_t *const codebook = weights->codebook;
    const uint32_t index_bits = weights->index_bits;
    const int32_t zero_point = weights->zero_point;
    int16_t *const end = into + count;
    while (into != end) {
        int16_t weight = 0;
        if (dcc_take_bits_inline(&bitmap, 1u) != 0u) {
            weight = dcc_weight_of(codebook, dcc_take_bits_inline(&indices, index_bits), zero_point);
        }
        *into++ = weight;
    }
    weights->bitmap = bitmap;
    weights->indices = indices;
}

const dcc_encoding dcc_encoding_bitmap = {open_bitmap, take_bitmap};
