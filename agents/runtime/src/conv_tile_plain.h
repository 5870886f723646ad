/* SPDX-License-Identifier: Apache-2.0
 *
 * The inner loop of conv_tile.c in C. A group of 4 inputs of the patch is 4 x 4 int16, inputs 0, 2, 1 and 3 of the 4
 * pixels.
 */
#ifndef DCC_CONV_TILE_PLAIN_H
#define DCC_CONV_TILE_PLAIN_H

static inline void dcc_patch_start(const dcc_patch *patch, uint32_t pixel, uint32_t even, uint32_t odd) {
    patch->words[pixel] = even;
    patch->words[DCC_TILE_PIXELS + pixel] = odd;
}

/* One of 4 inputs, 0 to 3, of a group. */
static inline void dcc_patch_put(uint32_t *group, uint32_t pixel, uint32_t input, int32_t value) {
    int16_t *const values = (int16_t *)(void *)group;
    values[DCC_TILE_PIXELS * ((input >> 1) | ((input & 1u) << 1)) + pixel] = (int16_t)value;
}

/* Copies groups of 4 inputs of a pixel; gives `sum` + their sum. */
static inline int32_t dcc_patch_copy(
    uint32_t *group, uint32_t pixel, const int8_t *from, uint32_t groups, int32_t sum) {
    for (; groups > 0u; groups--) {
        uint32_t i;
        for (i = 0u; i < 4u; i++) {
            dcc_patch_put(group, pixel, i, from[i]);
            sum += from[i];
        }
        from += 4;
        group += DCC_GROUP_WORDS;
    }
    return sum;
}

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
