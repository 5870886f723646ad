/* SPDX-License-Identifier: Apache-2.0
 *
 * WIDE channels are whole numbers, NARROW ones small floating-point multipliers and shortened biases.
 */
#include "channels.h"

#include "format.h"

#define WIDE_BYTES 8u
#define MANTISSA_BITS 8u
#define LOOK_BITS 25u /* of 32, whatever bit of their first byte they begin at */

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
    channels->next = begin;
    channels->end = end;
    channels->bit = 0u;
    channels->exponent_bits = exponent_bits(form);
    channels->mantissa_shift = 8u - (1u << channels->exponent_bits);
    channels->multiplier_bits = MANTISSA_BITS + channels->exponent_bits + sign_bits(form);
    channels->sign_mask = sign_bits(form) << (channels->multiplier_bits - 1u);
    channels->bias_bits = bias_bits(form);
    channels->first_bits = channels->multiplier_bits + channels->bias_bits;
    if (channels->first_bits > LOOK_BITS) channels->first_bits = channels->multiplier_bits;
    channels->bias_shift = form.bias_shift;
    channels->bias_base = ((uint32_t)output_zero_point << fraction_bits) + ((1u << fraction_bits) >> 1);
    channels->wide = form.form == DCC_WIDE;
}

static dcc_channel next_wide(dcc_channels *channels) {
    dcc_channel channel;
    channel.bias = (int32_t)dcc_u32(channels->next);
    channel.multiplier = (int16_t)dcc_u16(channels->next + 4);
    channels->next += WIDE_BYTES;
    return channel;
}

/* The next `count` bits and others above them, count <= LOOK_BITS. */
static uint32_t take(dcc_channels *channels, uint32_t count) {
    const uint8_t *next = channels->next;
    const uint32_t bit = channels->bit;
    uint32_t word = 0u;
    if (channels->end - next >= 4) {
        word = dcc_u32(next);
    } else {
        uint32_t shift;
        for (shift = 0u; next != channels->end; next++, shift += 8u) word |= (uint32_t)*next << shift;
    }
    channels->next += (bit + count) / 8u;
    channels->bit = (bit + count) % 8u;
    return word >> bit;
}

static dcc_channel next_narrow(dcc_channels *channels) {
    const uint32_t multiplier_bits = channels->multiplier_bits;
    const uint32_t multiplier = take(channels, channels->first_bits);
    const uint32_t bias =
        channels->first_bits == multiplier_bits ? take(channels, channels->bias_bits) : multiplier >> multiplier_bits;
    const uint32_t above_bias = 32u - channels->bias_bits;
    uint32_t mantissa = multiplier % (1u << MANTISSA_BITS);
    uint32_t exponent = (multiplier >> MANTISSA_BITS) & ((1u << channels->exponent_bits) - 1u);
    dcc_channel channel;
    if (exponent > 0u) {
        mantissa += 1u << MANTISSA_BITS;
        exponent--;
    }
    channel.multiplier = (int32_t)(mantissa << (exponent + channels->mantissa_shift));
    if ((multiplier & channels->sign_mask) != 0u) channel.multiplier = -channel.multiplier;
    channel.bias = (int32_t)(bias << above_bias) >> above_bias;
    channel.bias = (int32_t)(((uint32_t)channel.bias << channels->bias_shift) + channels->bias_base);
    return channel;
}

dcc_channel dcc_next_channel(dcc_channels *channels) {
    return channels->wide ? next_wide(channels) : next_narrow(channels);
}
