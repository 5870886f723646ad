/* SPDX-License-Identifier: Apache-2.0
 *
 * Stands in for the runtime where a test needs a run that does something known, or something bad. Its artifact is
 *   "OBEY" | arena_bytes u32 | input_bytes u32 | output_bytes u32 | order u32 | amount u32
 * with the input at the start of the arena and the output behind it. A run without a special order writes the input
 * plus 1, byte by byte and over again, to the output, and uses 1000 bytes of stack.
 */
#include "dcc_runtime.h"

#include <string.h>

enum order {
    OBEY = 0,
    FAIL = 1,            /* return DCC_ERROR_SHAPE */
    WRITE_BEYOND = 2,    /* write `amount` bytes behind the arena's end */
    CRASH = 3,           /* jump to an undefined instruction */
    HANG = 4,            /* never return */
    LOOP = 5,            /* `amount` times two instructions */
    NEED_DEEP_STACK = 6, /* recurse `amount` times through 1000 bytes each */
};

static uint32_t field(const uint8_t *artifact, size_t index)
{
    uint32_t value;
    memcpy(&value, artifact + 4 * index, sizeof value);
    return value;
}

/* It executes nothing, so its table of operators is empty. */
struct dcc_operators {
    int nothing;
};
const dcc_operators dcc_all_operators = {0};

dcc_status dcc_model_load(
    dcc_model *model, const dcc_operators *operators, const void *artifact, size_t artifact_bytes)
{
    if (artifact_bytes < 24) {
        return DCC_ERROR_TOO_SHORT;
    }
    if (memcmp(artifact, "OBEY", 4) != 0) {
        return DCC_ERROR_MAGIC;
    }
    model->operators = operators;
    model->artifact = artifact;
    model->artifact_bytes = (uint32_t)artifact_bytes;
    model->arena_bytes = field(artifact, 1);
    model->input_at = 0;
    model->input_bytes = field(artifact, 2);
    model->output_at = model->input_bytes;
    model->output_bytes = field(artifact, 3);
    return DCC_OK;
}

int8_t *dcc_model_input(const dcc_model *model, void *arena)
{
    return (int8_t *)arena + model->input_at;
}

const int8_t *dcc_model_output(const dcc_model *model, const void *arena)
{
    return (const int8_t *)arena + model->output_at;
}

static void spin(uint32_t times)
{
#if defined(__aarch64__)
    __asm__ volatile("1: subs %w0, %w0, #1\n b.ne 1b" : "+r"(times) : : "cc");
#else
    for (volatile uint32_t i = 0; i < times; i++) {
    }
#endif
}

__attribute__((noinline)) static void descend(uint32_t levels)
{
    volatile uint8_t frame[1000];
    for (size_t i = 0; i < sizeof frame; i++) {
        frame[i] = 1;
    }
    if (levels > 0) {
        descend(levels - 1);
    }
    frame[0] = 2; /* keeps the call above from becoming a jump */
}

dcc_status dcc_model_run(const dcc_model *model, void *arena, size_t arena_bytes)
{
    const uint32_t amount = field(model->artifact, 5);
    uint8_t *bytes = arena;
    if (arena_bytes < model->arena_bytes) {
        return DCC_ERROR_ARENA_TOO_SMALL;
    }
    switch ((enum order)field(model->artifact, 4)) {
    case FAIL:
        return DCC_ERROR_SHAPE;
    case WRITE_BEYOND:
        memset(bytes + model->arena_bytes, 1, amount);
        break;
    case CRASH:
        __builtin_trap();
    case HANG:
        for (;;) {
        }
    case LOOP:
        spin(amount);
        break;
    case NEED_DEEP_STACK:
        descend(amount);
        break;
    case OBEY:
        descend(0);
        break;
    }
    for (uint32_t i = 0; i < model->output_bytes; i++) {
        bytes[model->output_at + i] = (uint8_t)(bytes[i % model->input_bytes] + 1);
    }
    bytes[0] = 0; /* as the contract allows, a run leaves no input behind */
    return DCC_OK;
}
