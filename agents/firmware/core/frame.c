/* SPDX-License-Identifier: Apache-2.0 */
#include "frame.h"

#include <string.h>

#include "bytes.h"
#include "crc32.h"

#define HEAD_BYTES 3u
#define CRC_BYTES 4u
#define LONGEST_GROUP 0xffu /* the COBS code of 254 bytes that no zero follows */

/* Decodes COBS in place, which works because the output never overtakes the input. Returns the length, 0 if it is none. */
static size_t cobs_decode(uint8_t *bytes, size_t count) {
    size_t read = 0;
    size_t written = 0;
    while (read < count) {
        const uint8_t code = bytes[read];
        if (code > count - read) return 0;
        memmove(bytes + written, bytes + read + 1, code - 1u);
        written += code - 1u;
        read += code;
        if (code != LONGEST_GROUP && read < count) bytes[written++] = 0;
    }
    return written;
}

bool frame_decoder_push(frame_decoder *decoder, uint8_t byte, frame *received) {
    if (byte != 0) {
        if (decoder->count < sizeof decoder->bytes) decoder->bytes[decoder->count] = byte;
        if (decoder->count <= sizeof decoder->bytes) decoder->count++;
        return false;
    }
    const size_t encoded = decoder->count;
    decoder->count = 0;
    if (encoded > sizeof decoder->bytes) return false;
    const size_t raw = cobs_decode(decoder->bytes, encoded);
    if (raw < HEAD_BYTES + CRC_BYTES || raw > HEAD_BYTES + WIRE_MAX_PAYLOAD + CRC_BYTES) return false;
    received->crc = load_u32(decoder->bytes + raw - CRC_BYTES);
    if (received->crc != crc32(decoder->bytes, raw - CRC_BYTES)) return false;
    received->sequence = load_u16(decoder->bytes);
    received->kind = decoder->bytes[2];
    received->payload = decoder->bytes + HEAD_BYTES;
    received->payload_bytes = raw - HEAD_BYTES - CRC_BYTES;
    return true;
}

size_t frame_encode(uint16_t sequence, uint8_t kind, const uint8_t *payload, size_t payload_bytes,
                    uint8_t encoded[FRAME_MAX_BYTES]) {
    uint8_t raw[HEAD_BYTES + WIRE_MAX_PAYLOAD + CRC_BYTES];
    store_u16(raw, sequence);
    raw[2] = kind;
    memcpy(raw + HEAD_BYTES, payload, payload_bytes);
    const size_t content = HEAD_BYTES + payload_bytes;
    store_u32(raw + content, crc32(raw, content));

    size_t code_at = 0; /* where the length of the group being written goes */
    size_t written = 1;
    for (size_t i = 0; i < content + CRC_BYTES; i++) {
        if (raw[i] != 0) encoded[written++] = raw[i];
        if (raw[i] == 0 || written - code_at == LONGEST_GROUP) {
            encoded[code_at] = (uint8_t)(written - code_at);
            code_at = written++;
        }
    }
    encoded[code_at] = (uint8_t)(written - code_at);
    encoded[written++] = 0;
    return written;
}
