/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames on the byte stream, as agents/wire/agent_wire/protocol.toml defines them.
 */
#ifndef FRAME_H
#define FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire_protocol.h"

/* A frame that arrived whole; payload points into the decoder and holds until its next byte. */
typedef struct {
    uint16_t sequence;
    uint8_t kind;
    uint32_t crc;
    const uint8_t *payload;
    size_t payload_bytes;
} frame;

typedef struct {
    uint8_t bytes[WIRE_MAX_ENCODED];
    size_t count; /* one more than bytes holds: noise, dropped up to the next delimiter */
} frame_decoder;

/* Takes the next byte of the stream; true when it completed a good frame. Damaged frames and noise vanish. */
bool frame_decoder_push(frame_decoder *decoder, uint8_t byte, frame *received);

#define FRAME_MAX_BYTES (WIRE_MAX_ENCODED + 1u)

/* Writes the encoded frame, delimiter included, and returns its length. payload_bytes <= WIRE_MAX_PAYLOAD. */
size_t frame_encode(uint16_t sequence, uint8_t kind, const uint8_t *payload, size_t payload_bytes,
                    uint8_t encoded[FRAME_MAX_BYTES]);

#endif
