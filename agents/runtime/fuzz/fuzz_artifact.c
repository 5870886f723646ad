/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzz target of loader and executor. A file is an artifact and behind it the model's input (shorter than that: repeated;
 * none: zeros). Artifact, arena and input lie in blocks of exactly their size, so that the address sanitizer sees the first
 * byte outside. What the loader accepts must run, give the same output whatever the arena held before, and leave the
 * artifact as it was; what it refuses must have one of the loader's statuses.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dcc_runtime.h"
#include "header.h"
#include "work.h"

#define LARGEST_ARENA (256u << 10)
#define MOST_WORK (1u << 21) /* operands read in one run: some milliseconds */

static unsigned long loaded, refused, too_large; /* artifacts */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(int truth, const char *what) {
    if (truth) return;
    fprintf(stderr, "fuzz_artifact: %s\n", what);
    abort();
}

static void *allocate(size_t bytes) {
    void *block = malloc(bytes);
    demand(block != NULL || bytes == 0u, "out of memory");
    return block;
}

static void *copy_of(const void *bytes, size_t count) {
    void *block = allocate(count);
    if (count != 0u) memcpy(block, bytes, count);
    return block;
}

static void *model_input(const dcc_model *model, const uint8_t *bytes, size_t count) {
    uint8_t *input = allocate(model->input_bytes);
    uint32_t i;
    for (i = 0u; i < model->input_bytes; i++) input[i] = count == 0u ? 0u : bytes[i % count];
    return input;
}

/* The output of one run in an arena filled with `fill`. */
static void *output_of(const dcc_model *model, const void *input, int fill) {
    uint8_t *arena = allocate(model->arena_bytes);
    void *output;
    memset(arena, fill, model->arena_bytes);
    memcpy(dcc_model_input(model, arena), input, model->input_bytes);
    demand(dcc_model_run(model, arena, model->arena_bytes) == DCC_OK, "a loaded model did not run");
    output = copy_of(dcc_model_output(model, arena), model->output_bytes);
    free(arena);
    return output;
}

static void run_twice(const dcc_model *model, const uint8_t *input_bytes, size_t input_count) {
    void *input = model_input(model, input_bytes, input_count);
    void *first = output_of(model, input, 0x00);
    void *second = output_of(model, input, 0xa5);
    demand(memcmp(first, second, model->output_bytes) == 0, "the output depends on what the arena held before");
    free(second);
    free(first);
    free(input);
}

static int is_of_the_loader(dcc_status status) {
    return status >= DCC_ERROR_TOO_SHORT && status <= DCC_ERROR_REQUANTISATION && status != DCC_ERROR_ALIGNMENT;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const size_t bytes = fuzz_artifact_bytes(data, size);
    uint8_t *artifact = copy_of(data, bytes);
    dcc_model model;
    const dcc_status status = dcc_model_load(&model, &dcc_all_operators, artifact, bytes);
    if (status != DCC_OK) {
        demand(is_of_the_loader(status), "refused without a status of the loader");
        refused++;
    } else if (model.arena_bytes > LARGEST_ARENA || fuzz_work(&model) > MOST_WORK) {
        too_large++;
    } else {
        run_twice(&model, data + bytes, size - bytes);
        demand(memcmp(artifact, data, bytes) == 0, "a run changed the artifact");
        loaded++;
    }
    free(artifact);
    return 0;
}

static void report(void) {
    fprintf(stderr, "artifacts: %lu run, %lu refused, %lu too large to run\n", loaded, refused, too_large);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    atexit(report);
    return 0;
}
