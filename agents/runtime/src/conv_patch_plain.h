/* SPDX-License-Identifier: Apache-2.0
 *
 * How patches lie without the DSP extension: a group is 4 x 4 int16, inputs 0, 2, 1 and 3 of the 4 pixels.
 */
#ifndef DCC_CONV_PATCH_PLAIN_H
#define DCC_CONV_PATCH_PLAIN_H

static inline void dcc_patch_start(const dcc_patch *patch, uint32_t pixel, uint32_t even, uint32_t odd) {
    patch->words[pixel] = even;
    patch->words[DCC_TILE_PIXELS + pixel] = odd;
}

/* One of 4 inputs, 0 to 3, of a group. */
static inline void dcc_patch_put(uint32_t *group, uint32_t pixel, uint32_t input, int32_t value) {
    int16_t *const values = (int16_t *)(void *)group;
    values[DCC_TILE_PIXELS * ((input >> 1) | ((input & 1u) << 1)) + pixel] = (int16_t)value;
}

/* Groups of 4 equal inputs. */
static inline void dcc_patch_fill(uint32_t *group, uint32_t pixel, int32_t value, uint32_t groups) {
    for (; groups > 0u; groups--) {
        uint32_t i;
        for (i = 0u; i < 4u; i++) dcc_patch_put(group, pixel, i, value);
        group += DCC_GROUP_WORDS;
    }
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

#endif
