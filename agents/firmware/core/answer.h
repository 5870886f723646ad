/* SPDX-License-Identifier: Apache-2.0
 *
 * The payload of a response while it is being written: a status, then fields.
 */
#ifndef ANSWER_H
#define ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include "wire_protocol.h"

typedef struct {
    uint8_t payload[WIRE_MAX_PAYLOAD];
    size_t bytes;
} answer;

/* Starts an answer that says nothing but ok. */
void answer_begin(answer *a);

/* Adds what still fits. */
void answer_append(answer *a, const void *data, size_t bytes);

/* Turns the answer into a refusal. */
void answer_refuse(answer *a, uint8_t status, uint32_t code, const char *message);
void answer_refuse_size(answer *a, uint64_t needed, uint64_t available, const char *of_what);

#endif
