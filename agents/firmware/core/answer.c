/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"

#include <string.h>

#include "bytes.h"

void answer_begin(answer *a) {
    a->payload[0] = WIRE_STATUS_OK;
    a->bytes = 1;
}

void answer_append(answer *a, const void *data, size_t bytes) {
    const size_t room = sizeof a->payload - a->bytes;
    const size_t taken = bytes < room ? bytes : room;
    memcpy(a->payload + a->bytes, data, taken);
    a->bytes += taken;
}

static uint32_t saturated(uint64_t bytes) { return bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX; }

static void refuse(answer *a, uint8_t status, uint32_t code, uint64_t needed, uint64_t available, const char *message) {
    a->payload[0] = status;
    store_u32(a->payload + WIRE_REFUSAL_CODE_AT, code);
    store_u32(a->payload + WIRE_REFUSAL_NEEDED_AT, saturated(needed));
    store_u32(a->payload + WIRE_REFUSAL_AVAILABLE_AT, saturated(available));
    a->bytes = WIRE_REFUSAL_MESSAGE_AT;
    answer_append(a, message, strlen(message));
}

void answer_refuse(answer *a, uint8_t status, uint32_t code, const char *message) {
    refuse(a, status, code, 0, 0, message);
}

void answer_refuse_size(answer *a, uint64_t needed, uint64_t available, const char *of_what) {
    refuse(a, WIRE_STATUS_TOO_LARGE, 0, needed, available, of_what);
}
