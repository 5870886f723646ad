/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs the model once for each input and writes a line to standard output, then the outputs back to back:
 *
 *   ran STACK_BYTES\n + the outputs
 *   rejected DCC_STATUS\n | failed DCC_STATUS\n | misfit ARENA_BYTES\n | fault 0\n
 *
 * The first run is what is counted: from dcc_model_run to count_end. STACK_BYTES is the most that loading and that run
 * took, found by the paint that they left.
 */
#include <stddef.h>
#include <stdint.h>

#include "dcc_runtime.h"
#include "semihosting.h"

#define PAINT 0xa55ac33cu

int main(void);

extern const dcc_operators linked_operators; /* what the artifact needs */
extern const uint8_t artifact[];
extern const uint8_t artifact_end[];
extern const uint8_t inputs[];
extern const uint8_t inputs_end[];
extern uint32_t stack_bottom[]; /* these and the arena from the linker script */
extern uint8_t arena_begin[];
extern uint8_t arena_end[];

static inline __attribute__((always_inline)) uint32_t *stack_pointer(void) {
    uint32_t *pointer;
    __asm volatile("mov %0, sp" : "=r"(pointer));
    return pointer;
}

static void report(const char *word, uint32_t number) {
    char digits[12];
    uint32_t at = sizeof digits - 1u;
    uint32_t length = 0u;
    digits[at] = '\n';
    do {
        digits[--at] = (char)('0' + number % 10u);
        number /= 10u;
    } while (number > 0u);
    digits[--at] = ' ';
    while (word[length] != '\0') length++;
    host_write(word, length);
    host_write(digits + at, sizeof digits - at);
}

/* counted_run.S. Its own two words are part of STACK_BYTES. */
extern dcc_status counted_run(const dcc_model *model, void *arena, size_t arena_bytes);

static void load_and_run(void) {
    const size_t arena_bytes = (size_t)(arena_end - arena_begin);
    const uint8_t *input = inputs;
    uint32_t *const top = stack_pointer();
    volatile uint32_t *paint;
    const uint32_t *used = stack_bottom;
    dcc_model model;
    dcc_status status;
    for (paint = stack_bottom; paint < top; paint++) *paint = PAINT;
    status = dcc_model_load(&model, &linked_operators, artifact, (size_t)(artifact_end - artifact));
    if (status != DCC_OK) {
        report("rejected", status);
        return;
    }
    if (model.arena_bytes > arena_bytes) {
        report("misfit", model.arena_bytes);
        return;
    }
    for (; input < inputs_end; input += model.input_bytes) {
        uint32_t i;
        for (i = 0u; i < model.input_bytes; i++) dcc_model_input(&model, arena_begin)[i] = (int8_t)input[i];
        status = input == inputs ? counted_run(&model, arena_begin, model.arena_bytes)
                                 : dcc_model_run(&model, arena_begin, model.arena_bytes);
        if (status != DCC_OK) {
            report("failed", status);
            return;
        }
        if (input == inputs) {
            while (used < top && *used == PAINT) used++;
            report("ran", (uint32_t)((uintptr_t)top - (uintptr_t)used));
        }
        host_write(dcc_model_output(&model, arena_begin), model.output_bytes);
    }
}

int main(void) {
    load_and_run();
    return 0;
}
