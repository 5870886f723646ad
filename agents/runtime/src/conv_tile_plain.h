/* SPDX-License-Identifier: Apache-2.0
 *
 * The inner loop of conv_tile.c in C.
 */
#ifndef DCC_CONV_TILE_PLAIN_H
#define DCC_CONV_TILE_PLAIN_H

/* sums: of the even filter at 4 pixels, then of the odd one. */
static inline void dcc_tile_sums(
    const dcc_patch *patch, const uint8_t *codes, uint32_t sums[2u * DCC_TILE_PIXELS]) {
    const int16_t *x = (const int16_t *)(const void *)(patch->words + DCC_PATCH_START);
    const uint8_t *const end = codes + 2u * patch->inputs;
    uint32_t even[DCC_TILE_PIXELS];
    uint32_t odd[DCC_TILE_PIXELS];
    uint32_t i;
    for (i = 0u; i < DCC_TILE_PIXELS; i++) {
        even[i] = patch->words[i];
        odd[i] = patch->words[DCC_TILE_PIXELS + i];
    }
    for (; codes != end; codes += 2) {
        const int32_t u = codes[0];
        const int32_t a = (int8_t)codes[1];
        for (i = 0u; i < DCC_TILE_PIXELS; i++) {
            even[i] += (uint32_t)(u * x[i]);
            odd[i] += (uint32_t)(a * x[i]);
        }
        x += DCC_TILE_PIXELS;
    }
    for (i = 0u; i < DCC_TILE_PIXELS; i++) {
        sums[i] = even[i];
        sums[DCC_TILE_PIXELS + i] = odd[i];
    }
}

#endif
