/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs one artifact in a process of its own, so that whatever it does ends with the process. Driven by edge_agent over
 * stdin and stdout: a command is a line, with raw bytes behind it where it says how many, and each gets one answer:
 *
 *   load N    + N bytes  ->  loaded ARENA_BYTES INPUT_BYTES OUTPUT_BYTES | rejected DCC_STATUS
 *   input N   + N bytes  ->  stored
 *   verify               ->  output N  + N bytes | failed DCC_STATUS | overwritten
 *   run WARM_UPS REPEATS ->  ran ARENA_PEAK_BYTES STACK_BYTES PEAK_RSS_BYTES N  + N little-endian u64 nanoseconds
 *                            | failed DCC_STATUS | overwritten
 *
 * The end of stdin ends it with 0. A command out of place or out of memory ends it with a line on stderr and 2 or 3.
 */
#define _POSIX_C_SOURCE 200809L /* signal.h */

#include "inference.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

enum { EXIT_COMMAND = 2, EXIT_MEMORY = 3, LINE_BYTES = 64 };

static void give_up(int code, const char *reason)
{
    fprintf(stderr, "runner: %s\n", reason);
    exit(code);
}

static void *allocate(size_t bytes)
{
    void *memory = malloc(bytes > 0 ? bytes : 1);
    if (memory == NULL) {
        give_up(EXIT_MEMORY, "out of memory");
    }
    return memory;
}

static void read_exactly(void *bytes, size_t count)
{
    if (fread(bytes, 1, count, stdin) != count) {
        give_up(EXIT_COMMAND, "input ended in the middle of a command");
    }
}

static void load(inference *inference, size_t artifact_bytes)
{
    void *artifact = allocate(artifact_bytes);
    read_exactly(artifact, artifact_bytes);
    const dcc_status status = dcc_model_load(&inference->model, &dcc_all_operators, artifact, artifact_bytes);
    if (status != DCC_OK) {
        printf("rejected %d\n", (int)status);
        return;
    }
    printf("loaded %" PRIu32 " %" PRIu32 " %" PRIu32 "\n", inference->model.arena_bytes, inference->model.input_bytes,
           inference->model.output_bytes);
}

static void store_input(inference *inference, size_t input_bytes)
{
    if (inference->arena == NULL && !inference_allocate(inference)) {
        give_up(EXIT_MEMORY, "out of memory");
    }
    if (input_bytes != inference->model.input_bytes) {
        give_up(EXIT_COMMAND, "an input of the wrong size");
    }
    read_exactly(inference->input, input_bytes);
    puts("stored");
}

/* Prints the refusal when there is one. */
static bool went_well(const inference *inference, dcc_status status)
{
    if (!inference_guards_intact(inference)) {
        puts("overwritten");
        return false;
    }
    if (status != DCC_OK) {
        printf("failed %d\n", (int)status);
        return false;
    }
    return true;
}

static void verify(inference *inference)
{
    if (!went_well(inference, inference_run(inference))) {
        return;
    }
    const uint32_t bytes = inference->model.output_bytes;
    printf("output %" PRIu32 "\n", bytes);
    fwrite(dcc_model_output(&inference->model, inference->arena), 1, bytes, stdout);
}

/* getrusage(2) would not do: its figure begins with what the parent had at the fork. */
static uint64_t peak_rss_bytes(void)
{
    char line[LINE_BYTES];
    uint64_t kilobytes = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        if (sscanf(line, "VmHWM: %" SCNu64, &kilobytes) == 1) {
            break;
        }
    }
    if (status != NULL) {
        fclose(status);
    }
    return kilobytes * 1024u;
}

static void print_u64(uint64_t value)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
    fwrite(bytes, 1, sizeof bytes, stdout);
}

static void run(inference *inference, size_t warm_ups, size_t repeats)
{
    inference_memory memory;
    if (!went_well(inference, inference_measure_memory(inference, &memory))) {
        return;
    }
    dcc_status status = DCC_OK;
    for (size_t i = 0; i < warm_ups && status == DCC_OK; i++) {
        status = inference_run(inference);
    }
    uint64_t *durations = allocate(repeats * sizeof *durations);
    for (size_t i = 0; i < repeats && status == DCC_OK; i++) {
        status = inference_time(inference, &durations[i]);
    }
    if (went_well(inference, status)) {
        printf("ran %zu %zu %" PRIu64 " %zu\n", memory.arena_peak_bytes, memory.stack_bytes, peak_rss_bytes(), repeats);
        for (size_t i = 0; i < repeats; i++) {
            print_u64(durations[i]);
        }
    }
    free(durations);
}

static void obey(inference *inference, const char *line)
{
    size_t first = 0, second = 0;
    const bool loaded = inference->model.artifact != NULL;
    const bool ready = inference->arena != NULL;
    if (!loaded && sscanf(line, "load %zu", &first) == 1) {
        load(inference, first);
    } else if (loaded && sscanf(line, "input %zu", &first) == 1) {
        store_input(inference, first);
    } else if (ready && strcmp(line, "verify\n") == 0) {
        verify(inference);
    } else if (ready && sscanf(line, "run %zu %zu", &first, &second) == 2) {
        run(inference, first, second);
    } else {
        give_up(EXIT_COMMAND, "an unknown command, or one out of place");
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--describe") == 0) {
        /* The sizes come from the runtime's object files (see the Makefile). */
        printf("runtime_code_bytes=%zu\n", (size_t)RUNTIME_CODE_BYTES);
        printf("static_bytes=%zu\n", (size_t)RUNTIME_DATA_BYTES + sizeof(dcc_model));
        return EXIT_SUCCESS;
    }
    if (argc != 1) {
        give_up(EXIT_COMMAND, "usage: runner [--describe]");
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a run that never returns must not outlive the agent */
    inference inference = {0};
    char line[LINE_BYTES];
    while (fgets(line, sizeof line, stdin) != NULL) {
        obey(&inference, line);
    }
    return EXIT_SUCCESS;
}
