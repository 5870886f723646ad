/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.h"

#include <string.h>

#include "bytes.h"
#include "deployment.h"
#include "image.h"
#include "measure.h"
#include "port.h"

#define TICKS_PER_ANSWER 64u

_Static_assert(WIRE_RESULT_RESPONSE_BYTES + 8 * TICKS_PER_ANSWER <= WIRE_MAX_PAYLOAD, "durations exceed a frame");

static const char separator[] = ";";
static const char build[] = BUILD_HASH;

static const char other_model[] = "this firmware holds one model, and another was sent";

static deployment deployed;
static measurement measured;
static bool has_result;

static void hello(const uint8_t *request, size_t bytes, answer *a) {
    (void)bytes;
    if (load_u16(request + WIRE_HELLO_REQUEST_VERSION_AT) != WIRE_VERSION) {
        answer_refuse(a, WIRE_STATUS_BAD_VERSION, WIRE_VERSION, "the agent speaks another version");
        return;
    }
    store_u16(a->payload + WIRE_HELLO_RESPONSE_VERSION_AT, WIRE_VERSION);
    store_u32(a->payload + WIRE_HELLO_RESPONSE_POOL_BYTES_AT, (uint32_t)deployed.pool_bytes);
    store_u32(a->payload + WIRE_HELLO_RESPONSE_TIMER_HZ_AT, port_timer_hz());
    store_u32(a->payload + WIRE_HELLO_RESPONSE_CORE_HZ_AT, port_core_hz());
    store_u32(a->payload + WIRE_HELLO_RESPONSE_RUNTIME_CODE_BYTES_AT, (uint32_t)port_runtime_code_bytes());
    store_u32(a->payload + WIRE_HELLO_RESPONSE_STATIC_BYTES_AT, sizeof(dcc_model));
    a->bytes = WIRE_HELLO_RESPONSE_IDENTITY_AT;
    answer_append(a, port_profile, strlen(port_profile));
    answer_append(a, separator, sizeof separator - 1);
    answer_append(a, image.agent, strlen(image.agent));
    answer_append(a, separator, sizeof separator - 1);
    answer_append(a, build, sizeof build - 1);
}

static void load_begin(const uint8_t *request, size_t bytes, answer *a) {
    (void)bytes;
    const uint32_t artifact_bytes = load_u32(request + WIRE_LOAD_BEGIN_REQUEST_ARTIFACT_BYTES_AT);
    has_result = false;
    if (deployment_begin(&deployed, artifact_bytes, request + WIRE_LOAD_BEGIN_REQUEST_SHA256_AT)) return;
    if (image.artifact != NULL)
        answer_refuse(a, WIRE_STATUS_BAD_MESSAGE, 0, other_model);
    else
        answer_refuse_size(a, artifact_bytes, deployed.pool_bytes, "RAM for the artifact");
}

static void load_chunk(const uint8_t *request, size_t bytes, answer *a) {
    const uint32_t offset = load_u32(request + WIRE_LOAD_CHUNK_REQUEST_OFFSET_AT);
    const size_t count = bytes - WIRE_LOAD_CHUNK_REQUEST_DATA_AT;
    if (deployed.loaded || offset != deployed.artifact_received) {
        answer_refuse(a, WIRE_STATUS_BAD_STATE, 0, "a chunk that does not follow what was received");
    } else if (count > deployed.artifact_bytes - deployed.artifact_received) {
        answer_refuse(a, WIRE_STATUS_BAD_MESSAGE, 0, "more bytes than announced");
    } else if (!deployment_receive(&deployed, request + WIRE_LOAD_CHUNK_REQUEST_DATA_AT, count)) {
        answer_refuse(a, WIRE_STATUS_BAD_MESSAGE, 0, other_model);
    }
}

static void load_end(const uint8_t *request, size_t bytes, answer *a) {
    (void)request;
    (void)bytes;
    if (deployed.loaded || deployed.artifact_bytes == 0 || deployed.artifact_received != deployed.artifact_bytes) {
        answer_refuse(a, WIRE_STATUS_BAD_STATE, 0, "no artifact has arrived whole");
        return;
    }
    if (!deployment_hash_matches(&deployed)) {
        answer_refuse(a, WIRE_STATUS_HASH_MISMATCH, 0, "SHA-256 differs");
        return;
    }
    const dcc_status status = deployment_check(&deployed);
    if (status != DCC_OK) {
        answer_refuse(a, WIRE_STATUS_ARTIFACT_REJECTED, status, "the loader refused the artifact");
        return;
    }
    const uint64_t needed = deployment_needs(&deployed);
    if (needed > deployed.pool_bytes) {
        answer_refuse_size(a, needed, deployed.pool_bytes, "RAM for artifact, arena and input");
        return;
    }
    deployment_finish(&deployed);
    store_u32(a->payload + WIRE_LOAD_END_RESPONSE_ARENA_BYTES_AT, deployed.model.arena_bytes);
    store_u32(a->payload + WIRE_LOAD_END_RESPONSE_INPUT_BYTES_AT, deployed.model.input_bytes);
    store_u32(a->payload + WIRE_LOAD_END_RESPONSE_OUTPUT_BYTES_AT, deployed.model.output_bytes);
    a->bytes = WIRE_LOAD_END_RESPONSE_BYTES;
}

static void input_chunk(const uint8_t *request, size_t bytes, answer *a) {
    const uint32_t offset = load_u32(request + WIRE_INPUT_CHUNK_REQUEST_OFFSET_AT);
    const size_t count = bytes - WIRE_INPUT_CHUNK_REQUEST_DATA_AT;
    if (offset == 0) deployed.input_received = 0;
    if (!deployed.loaded || offset != deployed.input_received) {
        answer_refuse(a, WIRE_STATUS_BAD_STATE, 0, "no artifact, or a chunk that does not follow what was received");
    } else if (count > deployed.model.input_bytes - deployed.input_received) {
        answer_refuse(a, WIRE_STATUS_BAD_MESSAGE, 0, "more bytes than the model's input has");
    } else {
        memcpy(deployed.input + offset, request + WIRE_INPUT_CHUNK_REQUEST_DATA_AT, count);
        deployed.input_received += count;
    }
}

static void answer_outcome(answer *a, measure_outcome outcome) {
    switch (outcome) {
    case MEASURE_OK:
        break;
    case MEASURE_RUN_FAILED:
        answer_refuse(a, WIRE_STATUS_RUN_FAILED, measured.status, "the runtime gave up");
        break;
    case MEASURE_GUARD_OVERWRITTEN:
        answer_refuse(a, WIRE_STATUS_GUARD_OVERWRITTEN, 0, "the runtime wrote outside its arena");
        break;
    case MEASURE_TIMER_OVERFLOW:
        answer_refuse(a, WIRE_STATUS_RUN_FAILED, 0, "one inference takes more than 2^32 ticks of the timer");
        break;
    }
}

static void verify(const uint8_t *request, size_t bytes, answer *a) {
    (void)request;
    (void)bytes;
    if (!deployment_input_complete(&deployed)) {
        answer_refuse(a, WIRE_STATUS_BAD_STATE, 0, "no artifact or no whole input");
        return;
    }
    const measure_outcome outcome = measure_once(&deployed, &measured);
    if (outcome != MEASURE_OK) {
        answer_outcome(a, outcome);
        return;
    }
    const uint32_t output_bytes = deployed.model.output_bytes;
    const uint32_t room = WIRE_MAX_PAYLOAD - WIRE_VERIFY_RESPONSE_OUTPUT_AT;
    store_u32(a->payload + WIRE_VERIFY_RESPONSE_OUTPUT_BYTES_AT, output_bytes);
    a->bytes = WIRE_VERIFY_RESPONSE_OUTPUT_AT;
    answer_append(a, dcc_model_output(&deployed.model, deployed.arena), output_bytes < room ? output_bytes : room);
}

static void run(const uint8_t *request, size_t bytes, answer *a) {
    (void)bytes;
    const uint16_t warm_ups = load_u16(request + WIRE_RUN_REQUEST_WARM_UPS_AT);
    const uint16_t repeats = load_u16(request + WIRE_RUN_REQUEST_REPEATS_AT);
    has_result = false;
    if (!deployment_input_complete(&deployed)) {
        answer_refuse(a, WIRE_STATUS_BAD_STATE, 0, "no artifact or no whole input");
    } else if (repeats == 0 || repeats > WIRE_MAX_REPEATS) {
        answer_refuse(a, WIRE_STATUS_BAD_MESSAGE, 0, "repeats out of range");
    } else {
        const measure_outcome outcome = measure_run(&deployed, warm_ups, repeats, &measured);
        has_result = outcome == MEASURE_OK;
        answer_outcome(a, outcome);
    }
}

static void result(const uint8_t *request, size_t bytes, answer *a) {
    (void)bytes;
    const uint16_t first = load_u16(request + WIRE_RESULT_REQUEST_FIRST_AT);
    if (!has_result) {
        answer_refuse(a, WIRE_STATUS_BAD_STATE, 0, "no run has ended well");
        return;
    }
    store_u32(a->payload + WIRE_RESULT_RESPONSE_ARENA_PEAK_BYTES_AT, measured.arena_peak_bytes);
    store_u32(a->payload + WIRE_RESULT_RESPONSE_STACK_BYTES_AT, measured.stack_bytes);
    store_u64(a->payload + WIRE_RESULT_RESPONSE_PEAK_RSS_BYTES_AT, 0);
    a->bytes = WIRE_RESULT_RESPONSE_DURATIONS_AT;
    for (uint32_t i = first; i < measured.count && i < first + TICKS_PER_ANSWER; i++) {
        store_u64(a->payload + a->bytes, measured.ticks[i]);
        a->bytes += 8;
    }
}

static void reset(const uint8_t *request, size_t bytes, answer *a) {
    (void)request;
    (void)bytes;
    (void)a; /* the restart follows the answer, in conversation.c */
}

static const struct {
    void (*carry_out)(const uint8_t *request, size_t bytes, answer *a);
    size_t fixed_bytes;
    bool has_tail;
} handlers[] = {
    [WIRE_HELLO_KIND] = {hello, WIRE_HELLO_REQUEST_BYTES, false},
    [WIRE_LOAD_BEGIN_KIND] = {load_begin, WIRE_LOAD_BEGIN_REQUEST_BYTES, false},
    [WIRE_LOAD_CHUNK_KIND] = {load_chunk, WIRE_LOAD_CHUNK_REQUEST_BYTES, true},
    [WIRE_LOAD_END_KIND] = {load_end, WIRE_LOAD_END_REQUEST_BYTES, false},
    [WIRE_INPUT_CHUNK_KIND] = {input_chunk, WIRE_INPUT_CHUNK_REQUEST_BYTES, true},
    [WIRE_VERIFY_KIND] = {verify, WIRE_VERIFY_REQUEST_BYTES, false},
    [WIRE_RUN_KIND] = {run, WIRE_RUN_REQUEST_BYTES, false},
    [WIRE_RESULT_KIND] = {result, WIRE_RESULT_REQUEST_BYTES, false},
    [WIRE_RESET_KIND] = {reset, WIRE_RESET_REQUEST_BYTES, false},
};

void agent_start(void) {
    deployed.pool = port_pool();
    deployed.pool_bytes = port_pool_bytes();
}

void agent_carry_out(const frame *request, answer *a) {
    if (request->kind >= sizeof handlers / sizeof handlers[0] || handlers[request->kind].carry_out == NULL) {
        answer_refuse(a, WIRE_STATUS_BAD_MESSAGE, request->kind, "unknown kind");
    } else if (request->payload_bytes < handlers[request->kind].fixed_bytes ||
               (!handlers[request->kind].has_tail && request->payload_bytes != handlers[request->kind].fixed_bytes)) {
        answer_refuse(a, WIRE_STATUS_BAD_MESSAGE, request->kind, "wrong length");
    } else {
        handlers[request->kind].carry_out(request->payload, request->payload_bytes, a);
    }
}
