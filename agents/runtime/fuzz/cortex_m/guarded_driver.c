/* SPDX-License-Identifier: Apache-2.0
 *
 * Loads and runs artifacts on an emulated Cortex-M, so that what only that core executes (assembly for its DSP extension)
 * meets the same artifacts as the sanitizers on the host. In place of a sanitizer it has the edges of two memories, beyond
 * which any access is a fault: artifact and arena lie first at their beginnings, then at their ends.
 *
 * In, from standard input to its end: u32 artifact bytes, u32 input bytes, artifact, one input. Out, for each: u32 status,
 * u32 output bytes, output; as ../../host/driver.c. A status of DIFFERS: the two places gave different answers, or the
 * artifact was changed.
 */
#include <string.h>

#include "dcc_runtime.h"
#include "semihosting.h"

#define MOST_BYTES (256u << 10) /* of artifact, input, arena, and output */
#define DIFFERS 255u

int main(void);

extern uint8_t artifact_memory[], artifact_memory_end[], arena_memory[], arena_memory_end[]; /* memory.ld */

static uint8_t artifact[MOST_BYTES], input[MOST_BYTES];

typedef struct {
    uint32_t status;
    uint32_t bytes;
    uint8_t output[MOST_BYTES];
} answer;

static answer low, high;

/* Whether there were so many bytes. */
static int host_read(void *into, uint32_t bytes) {
    static const char console[] = ":tt";
    static uintptr_t stream = 0u;
    uint8_t *next = into;
    if (stream == 0u) {
        const uintptr_t name[] = {(uintptr_t)console, OPEN_READ_BINARY, sizeof console - 1u};
        stream = semihosting(SYS_OPEN, name);
    }
    while (bytes != 0u) {
        const uintptr_t block[] = {stream, (uintptr_t)next, bytes};
        const uintptr_t left = semihosting(SYS_READ, block);
        if (left >= bytes) return 0;
        next += bytes - left;
        bytes = left;
    }
    return 1;
}

static void run_at(answer *found, uint8_t *model_at, uint32_t model_bytes, uint8_t *memory, int at_end, int fill) {
    uint8_t *arena = memory;
    dcc_model model;
    memcpy(model_at, artifact, model_bytes);
    found->bytes = 0u;
    found->status = dcc_model_load(&model, &dcc_all_operators, model_at, model_bytes);
    if (found->status != DCC_OK) return;
    if (model.arena_bytes > MOST_BYTES || model.output_bytes > MOST_BYTES) {
        found->status = DCC_ERROR_ARENA_TOO_SMALL;
        return;
    }
    if (at_end) arena -= model.arena_bytes;
    memset(arena, fill, model.arena_bytes);
    memcpy(dcc_model_input(&model, arena), input, model.input_bytes);
    found->status = dcc_model_run(&model, arena, model.arena_bytes);
    found->bytes = model.output_bytes;
    memcpy(found->output, dcc_model_output(&model, arena), model.output_bytes);
    if (memcmp(model_at, artifact, model_bytes) != 0) found->status = DIFFERS;
}

int main(void) {
    uint32_t head[2];
    while (host_read(head, sizeof head)) {
        const uint32_t aligned = (head[0] + DCC_ALIGNMENT - 1u) & ~(DCC_ALIGNMENT - 1u);
        if (head[0] > MOST_BYTES || head[1] > MOST_BYTES) return 1;
        if (!host_read(artifact, head[0]) || !host_read(input, head[1])) return 1;
        run_at(&low, artifact_memory, head[0], arena_memory, 0, 0x00);
        run_at(&high, artifact_memory_end - aligned, head[0], arena_memory_end, 1, 0xa5);
        if (low.status != high.status || low.bytes != high.bytes || memcmp(low.output, high.output, low.bytes) != 0) {
            low.status = DIFFERS;
        }
        host_write(&low, 8u + low.bytes);
    }
    return 0;
}
