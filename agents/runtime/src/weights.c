/* SPDX-License-Identifier: Apache-2.0
 *
 * INDEXED and BITMAP weights, and the codebooks of all encodings.
 */
#include "weights.h"

#define ALL_CODES 256u /* whose index is the code, without a table */

const uint8_t *dcc_open_codebook(
    dcc_weights *weights, const dcc_weight_form *form, const uint8_t *begin, const uint8_t *end,
    dcc_weight_tables *tables) {
    const uint32_t codes = dcc_codebook_codes(form);
    const uint32_t bytes = codes == ALL_CODES ? 0u : 1u + (form->gap_bits * (codes - 1u) + 7u) / 8u;
    if (bytes > (uint32_t)(end - begin)) return NULL;
    weights->tables = tables;
    weights->zero_point = form->zero_point;
    weights->index_bits = form->index_bits;
    weights->state = DCC_LAST_STATE;
    if (bytes != 0u) {
        uint32_t code = begin[0];
        dcc_bits gaps;
        uint32_t i;
        dcc_start_bits(&gaps, begin + 1, begin + bytes);
        for (i = 0u; i < codes; i++) {
            tables->weights[i] = (int16_t)((int32_t)code - form->zero_point);
            code = (code + 1u + dcc_take_bits(&gaps, form->gap_bits)) % ALL_CODES; /* of the last there is no gap: 0 */
        }
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
    const uint32_t index_bits = weights->index_bits;
    int16_t *const end = into + count;
    if (index_bits <= DCC_TABLE_BITS) {
        const int16_t *const table = weights->tables->weights;
        dcc_bits indices = weights->indices;
        while (into != end) *into++ = table[dcc_take_bits_inline(&indices, index_bits)];
        weights->indices = indices;
    } else if (count <= (uint32_t)(weights->indices.end - weights->indices.next)) {
        const uint8_t *next = weights->indices.next;
        const int32_t zero_point = weights->zero_point;
        while (into != end) *into++ = (int16_t)(*next++ - zero_point);
        weights->indices.next = next;
    } else {
        const int32_t zero_point = weights->zero_point;
        while (into != end) *into++ = (int16_t)((int32_t)dcc_take_bits_inline(&weights->indices, 8u) - zero_point);
    }
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
    const int16_t *const table = weights->index_bits <= DCC_TABLE_BITS ? weights->tables->weights : NULL;
    dcc_bits bitmap = weights->bitmap;
    int16_t *const end = into + count;
    for (; into != end; into++) {
        if (dcc_take_bits_inline(&bitmap, 1u) == 0u) {
            *into = 0;
        } else {
            const uint32_t index = dcc_take_bits_inline(&weights->indices, weights->index_bits);
            *into = table != NULL ? table[index] : (int16_t)((int32_t)index - weights->zero_point);
        }
    }
    weights->bitmap = bitmap;
}

const dcc_encoding dcc_encoding_bitmap = {open_bitmap, take_bitmap};
