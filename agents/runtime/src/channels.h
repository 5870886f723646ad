/* SPDX-License-Identifier: Apache-2.0
 *
 * A convolution's bias and multiplier per output channel, one after the other.
 */
#ifndef DCC_CHANNELS_H
#define DCC_CHANNELS_H

#include <stdint.h>

typedef struct {
    int32_t bias;
    int32_t multiplier; /* 16 bits */
} dcc_channel;

#define DCC_WIDE 0x80u

/* How channels are stored. */
typedef struct {
    uint32_t form;       /* the byte of FORMAT.md */
    uint32_t bias_shift; /* NARROW only, 0 to 31 */
} dcc_channel_form;

typedef struct {
    const uint8_t *next; /* the byte where the next channel begins */
    const uint8_t *end;  /* of what may be read */
    int wide;
    uint32_t bit;             /* NARROW: where in that byte, 0 to 7; as is all that follows */
    uint32_t mantissa_shift;  /* from the lowest exponent */
    uint32_t exponent_mask;   /* behind the mantissa */
    uint32_t sign_mask;       /* in mantissa, exponent and sign; 0 without a sign */
    uint32_t multiplier_bits; /* mantissa, exponent and sign */
    uint32_t bias_bits;
    uint32_t bias_shift;
    uint32_t bias_base; /* what the zero point of the output and the half that rounds add */
} dcc_channels;

/* Bytes of so many channels; at most 8 each. */
uint32_t dcc_channels_bytes(dcc_channel_form form, uint32_t count);

/* At the first. end: of the artifact's bytes that may be read, behind the last channel or farther. output_zero_point and
 * fraction_bits: of the convolution. */
void dcc_open_channels(
    dcc_channels *channels, const uint8_t *begin, const uint8_t *end, dcc_channel_form form, int32_t output_zero_point,
    uint32_t fraction_bits);

/* The next `count`, of which there are as many. */
void dcc_take_channels(dcc_channels *channels, dcc_channel *into, uint32_t count);

static inline dcc_channel dcc_next_channel(dcc_channels *channels) {
    dcc_channel channel;
    dcc_take_channels(channels, &channel, 1u);
    return channel;
}

#endif
