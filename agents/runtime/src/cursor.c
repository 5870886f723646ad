/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers of the artifact, checked as they are read.
 */
#include "cursor.h"

#include <stddef.h>

const uint8_t *dcc_take_bytes(dcc_cursor *cursor, uint32_t count) {
    const uint8_t *bytes = cursor->next;
    if (count > (uint32_t)(cursor->end - bytes)) {
        cursor->failed = 1u;
        return NULL;
    }
    cursor->next = bytes + count;
    return bytes;
}

uint32_t dcc_take_byte(dcc_cursor *cursor) {
    const uint8_t *byte = dcc_take_bytes(cursor, 1u);
    return byte == NULL ? 0u : *byte;
}

int32_t dcc_take_i8(dcc_cursor *cursor) { return (int8_t)dcc_take_byte(cursor); }

uint32_t dcc_take_unsigned(dcc_cursor *cursor) {
    uint32_t value = 0u;
    uint32_t shift;
    for (shift = 0u; shift < 35u; shift += 7u) {
        const uint32_t byte = dcc_take_byte(cursor);
        value |= (byte & 127u) << shift;
        if (byte < 128u) {
            if (byte == 0u && shift != 0u) break;  /* a byte more than needed */
            if (byte > 15u && shift == 28u) break; /* 2^32 and more */
            return value;
        }
    }
    cursor->failed = 1u;
    return 0u;
}

int32_t dcc_take_signed(dcc_cursor *cursor) {
    const uint32_t value = dcc_take_unsigned(cursor);
    return (int32_t)((value >> 1) ^ (0u - (value & 1u)));
}
