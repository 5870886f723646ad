/* SPDX-License-Identifier: Apache-2.0 */
#include "conversation.h"

#include <stdbool.h>

#include "agent.h"
#include "answer.h"
#include "frame.h"
#include "port.h"

#define HALF_OF_SEQUENCES 0x8000u

static frame_decoder decoder;

static bool answered; /* whether there is a last request, which its sequence and CRC identify */
static uint16_t last_sequence;
static uint32_t last_crc;
static answer last_answer;

static void send(const frame *request, const answer *a) {
    static uint8_t encoded[FRAME_MAX_BYTES];
    port_send(encoded, frame_encode(request->sequence, request->kind | WIRE_RESPONSE_BIT, a->payload, a->bytes, encoded));
}

/* Whether the request is a late duplicate: its sequence lies behind the last one, by less than half of the range. */
static bool is_past(const frame *request) {
    return answered && (uint16_t)(request->sequence - last_sequence) >= HALF_OF_SEQUENCES;
}

static bool is_repeated(const frame *request) {
    return answered && request->sequence == last_sequence && request->crc == last_crc;
}

static void refuse_past(const frame *request) {
    static answer refusal; /* of its own: the last answer may still be asked for */
    answer_begin(&refusal);
    answer_refuse(&refusal, WIRE_STATUS_BAD_STATE, 0, "a sequence from the past");
    send(request, &refusal);
}

static void receive(const frame *request) {
    if (request->kind & WIRE_RESPONSE_BIT) return; /* an echo of our own answer */
    if (is_past(request)) {
        refuse_past(request);
        return;
    }
    if (!is_repeated(request)) {
        answer_begin(&last_answer);
        agent_carry_out(request, &last_answer);
        answered = true;
        last_sequence = request->sequence;
        last_crc = request->crc;
    }
    send(request, &last_answer);
    if (request->kind == WIRE_RESET_KIND) port_restart();
}

void conversation_push(uint8_t byte) {
    frame received;
    if (frame_decoder_push(&decoder, byte, &received)) receive(&received);
}
