/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads the artifact's numbers one after the other. What ends too early or is not canonical gives 0 and is remembered,
 * so that a whole record can be read before one question: whether it failed.
 */
#ifndef DCC_CURSOR_H
#define DCC_CURSOR_H

#include <stdint.h>

typedef struct {
    const uint8_t *next;
    const uint8_t *end;
    uint32_t failed;
} dcc_cursor;

static inline dcc_cursor dcc_cursor_between(const uint8_t *begin, const uint8_t *end) {
    dcc_cursor cursor = {begin, end, 0u};
    return cursor;
}

/* Where the next bytes lie, so many of them; NULL and failed if there are fewer. */
const uint8_t *dcc_take_bytes(dcc_cursor *cursor, uint32_t count);

uint32_t dcc_take_byte(dcc_cursor *cursor);

/* One byte, two's complement. */
int32_t dcc_take_i8(dcc_cursor *cursor);

/* Unsigned LEB128 in as few bytes as it needs. */
uint32_t dcc_take_unsigned(dcc_cursor *cursor);

/* A signed number n as 2n, or -2n - 1 below zero. */
int32_t dcc_take_signed(dcc_cursor *cursor);

#endif
