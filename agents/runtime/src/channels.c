/* SPDX-License-Identifier: Apache-2.0
 *
 * WIDE channels are whole numbers, NARROW ones small floating-point multipliers and shortened biases.
 */
#include "channels.h"

#include "format.h"

#define WIDE_BYTES 8u
#define MANTISSA_BITS 8u
#define LOOK_BITS 25u /* of 32, whichever bit of their first byte is wanted */

static uint32_t exponent_bits(dcc_channel_form form) { return form.form & 3u; }

static uint32_t sign_bits(dcc_channel_form form) { return (form.form >> 2) & 1u; }

static uint32_t bias_bits(dcc_channel_form form) { return ((form.form >> 3) & 15u) + 1u; }

uint32_t dcc_channels_bytes(dcc_channel_form form, uint32_t count) {
    if (form.form == DCC_WIDE) return WIDE_BYTES * count;
    return (count * (MANTISSA_BITS + exponent_bits(form) + sign_bits(form) + bias_bits(form)) + 7u) / 8u;
}

void dcc_open_channels(
    dcc_channels *channels, const uint8_t *begin, const uint8_t *end, dcc_channel_form form, int32_t output_zero_point,
    uint32_t fraction_bits) {
    const uint32_t multiplier_bits = MANTISSA_BITS + exponent_bits(form) + sign_bits(form);
    channels->next = begin;
    channels->end = end;
    channels->wide = form.form == DCC_WIDE;
    channels->bit = 0u;
    channels->mantissa_shift = 8u - (1u << exponent_bits(form));
    channels->exponent_mask = (1u << exponent_bits(form)) - 1u;
    channels->sign_mask = sign_bits(form) << (multiplier_bits - 1u);
    channels->multiplier_bits = multiplier_bits;
    channels->bias_bits = bias_bits(form);
    channels->bias_shift = form.bias_shift;
    channels->bias_base = ((uint32_t)output_zero_point << fraction_bits) + ((1u << fraction_bits) >> 1);
}

static void take_wide(dcc_channels *channels, dcc_channel *into, uint32_t count) {
    const uint8_t *next = channels->next;
    dcc_channel *const end = into + count;
    for (; into != end; into++, next += WIDE_BYTES) {
        into->bias = (int32_t)dcc_u32(next);
        into->multiplier = (int16_t)dcc_u16(next + 4);
    }
    channels->next = next;
}

/* The last bytes, where there are fewer than four. */
static uint32_t last_bytes(const uint8_t *next, const uint8_t *end) {
    uint32_t word = 0u;
    uint32_t shift;
    for (shift = 0u; next < end; next++, shift += 8u) word |= (uint32_t)*next << shift;
    return word;
}

/* What lies so many bits behind a place: LOOK_BITS or more, 0 behind the end. */
static inline uint32_t look(const uint8_t *begin, uint32_t bit, const uint8_t *end) {
    const uint8_t *next = begin + bit / 8u;
    return (end - next >= 4 ? dcc_u32(next) : last_bytes(next, end)) >> bit % 8u;
}

static int32_t multiplier_of(const dcc_channels *channels, uint32_t bits) {
    uint32_t mantissa = bits % (1u << MANTISSA_BITS);
    uint32_t exponent = (bits >> MANTISSA_BITS) & channels->exponent_mask;
    if (exponent > 0u) {
        mantissa += 1u << MANTISSA_BITS;
        exponent--;
    }
    mantissa <<= exponent + channels->mantissa_shift;
    return (bits & channels->sign_mask) != 0u ? -(int32_t)mantissa : (int32_t)mantissa;
}

static void take_narrow(dcc_channels *channels, dcc_channel *into, uint32_t count) {
    const uint8_t *const begin = channels->next;
    const uint8_t *const limit = channels->end;
    const uint32_t multiplier_bits = channels->multiplier_bits;
    const uint32_t above_bias = 32u - channels->bias_bits;
    const uint32_t channel_bits = multiplier_bits + channels->bias_bits;
    dcc_channel *const end = into + count;
    uint32_t bit = channels->bit; /* from begin; all of a convolution are less than 2^21 */
    for (; into != end; into++, bit += channel_bits) {
        const uint32_t bits = look(begin, bit, limit);
        uint32_t bias = bits >> multiplier_bits;
        if (channel_bits > LOOK_BITS) bias = look(begin, bit + multiplier_bits, limit);
        bias = (uint32_t)((int32_t)(bias << above_bias) >> above_bias);
        into->multiplier = multiplier_of(channels, bits);
        into->bias = (int32_t)((bias << channels->bias_shift) + channels->bias_base);
    }
    channels->next = begin + bit / 8u;
    channels->bit = bit % 8u;
}

void dcc_take_channels(dcc_channels *channels, dcc_channel *into, uint32_t count) {
    if (channels->wide) {
        take_wide(channels, into, count);
    } else {
        take_narrow(channels, into, count);
    }
}
