/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a convolution's codebook and bit streams begin; codebooks of codes below 8 bits are unpacked.
 */
#include "weights.h"

dcc_weights dcc_weights_at(
    const uint8_t *data, const dcc_conv *conv, uint32_t output_channels, uint32_t weight_count, uint8_t *narrow_codes) {
    const uint8_t *codebook = data + dcc_codebook_offset(output_channels);
    const uint8_t *stream = codebook + dcc_codebook_bytes(conv);
    dcc_weights weights;
    weights.codebook = codebook;
    if (conv->bits == conv->code_bits) {
        weights.codebook = NULL;
    } else if (conv->code_bits < 8u) {
        dcc_bits codes = dcc_bits_at(codebook);
        uint32_t i;
        for (i = 0u; i < 1u << conv->bits; i++) narrow_codes[i] = (uint8_t)dcc_take_bits(&codes, conv->code_bits);
        weights.codebook = narrow_codes;
    }
    weights.zero_point = conv->weight_zero_point;
    weights.encoding = conv->encoding;
    weights.index_bits = conv->bits;
    weights.bitmap = dcc_bits_at(stream);
    weights.indices = dcc_bits_at(conv->encoding == DCC_BITMAP ? stream + (weight_count + 7u) / 8u : stream);
    return weights;
}
