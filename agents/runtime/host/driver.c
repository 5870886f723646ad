/* SPDX-License-Identifier: Apache-2.0
 *
 * Test driver: loads and runs artifacts that it reads from standard input, so that tests can compare the runtime with
 * the reference interpreter and feed it hostile artifacts, thousands in one process.
 *
 * In, repeated to the end of the stream: u32 artifact bytes, u32 inputs bytes, artifact, inputs (one or more, back to back).
 * Out, for each: u32 status, u32 outputs bytes, outputs. Numbers in host order. Artifact and arena get blocks of exactly
 * their size, so that a sanitizer sees the first byte outside; arenas above 64 MiB are refused as too small a device would.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dcc_runtime.h"

#define LARGEST_ARENA (64u << 20)

static void *allocate(size_t bytes) {
    void *block = malloc(bytes);
    if (block == NULL && bytes != 0u) {
        fputs("driver: out of memory\n", stderr);
        exit(2);
    }
    return block;
}

static int read_exactly(void *into, size_t bytes) { return fread(into, 1u, bytes, stdin) == bytes; }

static void answer(dcc_status status, const int8_t *outputs, uint32_t bytes) {
    uint32_t head[2];
    head[0] = (uint32_t)status;
    head[1] = bytes;
    fwrite(head, sizeof head, 1u, stdout);
    if (bytes != 0u) fwrite(outputs, 1u, bytes, stdout);
}

static void run_all(const dcc_model *model, const uint8_t *inputs, uint32_t inputs_bytes) {
    const uint32_t count = inputs_bytes / model->input_bytes;
    const uint32_t arena_bytes = model->arena_bytes < LARGEST_ARENA ? model->arena_bytes : LARGEST_ARENA;
    uint8_t *arena = allocate(arena_bytes);
    int8_t *outputs = allocate((size_t)count * model->output_bytes);
    dcc_status status = arena_bytes < model->arena_bytes ? DCC_ERROR_ARENA_TOO_SMALL : DCC_OK;
    uint32_t i;
    for (i = 0u; i < count && status == DCC_OK; i++) {
        memset(arena, 0xa5, arena_bytes);
        memcpy(dcc_model_input(model, arena), inputs + (size_t)i * model->input_bytes, model->input_bytes);
        status = dcc_model_run(model, arena, arena_bytes);
        memcpy(outputs + (size_t)i * model->output_bytes, dcc_model_output(model, arena), model->output_bytes);
    }
    answer(status, outputs, status == DCC_OK ? count * model->output_bytes : 0u);
    free(outputs);
    free(arena);
}

int main(void) {
    uint32_t head[2];
    while (read_exactly(head, sizeof head)) {
        uint8_t *artifact = allocate(head[0]);
        uint8_t *inputs = allocate(head[1]);
        dcc_model model;
        dcc_status status;
        if (!read_exactly(artifact, head[0]) || !read_exactly(inputs, head[1])) {
            fputs("driver: the stream ends inside a case\n", stderr);
            return 2;
        }
        status = dcc_model_load(&model, &dcc_all_operators, artifact, head[0]);
        if (status == DCC_OK) {
            run_all(&model, inputs, head[1]);
        } else {
            answer(status, NULL, 0u);
        }
        free(inputs);
        free(artifact);
    }
    return 0;
}
