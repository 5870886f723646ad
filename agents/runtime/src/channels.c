/* SPDX-License-Identifier: Apache-2.0
 *
 * WIDE channels are whole numbers, NARROW ones small floating-point multipliers and shortened biases.
 */
#include "channels.h"

#include "format.h"

#define WIDE_BYTES 8u
#define MANTISSA_BITS 8u

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
    dcc_start_bits(&channels->bits, begin, end);
    channels->wide = form.form == DCC_WIDE;
    channels->exponent_bits = exponent_bits(form);
    channels->mantissa_shift = 8u - (1u << channels->exponent_bits);
    channels->sign_bits = sign_bits(form);
    channels->bias_bits = bias_bits(form);
    channels->bias_shift = form.bias_shift;
    channels->bias_base = ((uint32_t)output_zero_point << fraction_bits) + ((1u << fraction_bits) >> 1);
}

static dcc_channel next_wide(dcc_bits *bits) {
    dcc_channel channel;
    channel.bias = (int32_t)dcc_u32(bits->next);
    channel.multiplier = (int16_t)dcc_u16(bits->next + 4);
    bits->next += WIDE_BYTES;
    return channel;
}

static dcc_channel next_narrow(dcc_channels *channels) {
    const uint32_t multiplier_bits = MANTISSA_BITS + channels->exponent_bits + channels->sign_bits;
    const uint32_t multiplier = dcc_take_bits(&channels->bits, multiplier_bits);
    const uint32_t bias = dcc_take_bits(&channels->bits, channels->bias_bits);
    const uint32_t bias_sign = 1u << (channels->bias_bits - 1u);
    uint32_t mantissa = multiplier % (1u << MANTISSA_BITS);
    uint32_t exponent = (multiplier >> MANTISSA_BITS) & ((1u << channels->exponent_bits) - 1u);
    dcc_channel channel;
    if (exponent > 0u) {
        mantissa += 1u << MANTISSA_BITS;
        exponent--;
    }
    channel.multiplier = (int32_t)(mantissa << (exponent + channels->mantissa_shift));
    if (channels->sign_bits != 0u && multiplier >> (multiplier_bits - 1u) != 0u) channel.multiplier = -channel.multiplier;
    channel.bias = (int32_t)((((bias ^ bias_sign) - bias_sign) << channels->bias_shift) + channels->bias_base);
    return channel;
}

dcc_channel dcc_next_channel(dcc_channels *channels) {
    return channels->wide ? next_wide(&channels->bits) : next_narrow(channels);
}
