/* SPDX-License-Identifier: Apache-2.0
 *
 * WIDE channels are whole numbers, NARROW ones small floating-point multipliers and shortened biases.
 */
#include "channels.h"

static uint32_t exponent_bits(dcc_channel_form form) { return form.form & 3u; }

static uint32_t is_signed(dcc_channel_form form) { return (form.form >> 2) & 1u; }

static uint32_t bias_bits(dcc_channel_form form) { return ((form.form >> 3) & 15u) + 1u; }

uint32_t dcc_channels_bytes(dcc_channel_form form, uint32_t count) {
    if (form.form == DCC_WIDE) return 8u * count;
    return (count * (8u + exponent_bits(form) + is_signed(form) + bias_bits(form)) + 7u) / 8u;
}

dcc_channels dcc_channels_between(
    const uint8_t *begin, const uint8_t *end, dcc_channel_form form, int32_t output_zero_point,
    uint32_t fraction_bits) {
    dcc_channels channels;
    dcc_start_bits(&channels.bits, begin, end);
    channels.form = form;
    channels.bias_base = ((uint32_t)output_zero_point << fraction_bits) + ((1u << fraction_bits) >> 1);
    return channels;
}

/* The 16 bits of a multiplier or of half a bias, two's complement. */
static int32_t take_half(dcc_bits *bits) { return (int16_t)dcc_take_bits(bits, 16u); }

static dcc_channel next_wide(dcc_bits *bits) {
    dcc_channel channel;
    const uint32_t low = dcc_take_bits(bits, 16u);
    channel.bias = (int32_t)(((uint32_t)take_half(bits) << 16) | low);
    channel.multiplier = take_half(bits);
    (void)take_half(bits);
    return channel;
}

static dcc_channel next_narrow(dcc_channels *channels) {
    const dcc_channel_form form = channels->form;
    const uint32_t base = 8u - (1u << exponent_bits(form));
    const uint32_t sign = 1u << (bias_bits(form) - 1u);
    dcc_channel channel;
    uint32_t mantissa = dcc_take_bits(&channels->bits, 8u);
    uint32_t exponent = dcc_take_bits(&channels->bits, exponent_bits(form));
    const uint32_t negative = dcc_take_bits(&channels->bits, is_signed(form));
    const uint32_t bias = dcc_take_bits(&channels->bits, bias_bits(form));
    if (exponent > 0u) {
        mantissa += 256u;
        exponent--;
    }
    channel.multiplier = (int32_t)(mantissa << (exponent + base));
    if (negative != 0u) channel.multiplier = -channel.multiplier;
    channel.bias = (int32_t)((((bias ^ sign) - sign) << form.bias_shift) + channels->bias_base);
    return channel;
}

dcc_channel dcc_next_channel(dcc_channels *channels) {
    return channels->form.form == DCC_WIDE ? next_wide(&channels->bits) : next_narrow(channels);
}
