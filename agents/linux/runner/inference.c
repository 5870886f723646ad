/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* MAP_ANONYMOUS, MAP_STACK, ucontext */

#include "inference.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

enum {
    GUARD_BYTES = 64, /* a multiple of DCC_ALIGNMENT */
    GUARD_PAINT = 0xC3,
    STACK_BYTES = 64 * 1024,
    NO_ACCESS_BYTES = 64 * 1024 /* below the stack: the largest page of Linux on Arm */
};

bool inference_allocate(inference *inference)
{
    const size_t arena_bytes = inference->model.arena_bytes;
    uint8_t *region = malloc(GUARD_BYTES + arena_bytes + GUARD_BYTES);
    inference->input = malloc(inference->model.input_bytes);
    if (region == NULL || inference->input == NULL) {
        return false;
    }
    inference->arena = region + GUARD_BYTES;
    memset(region, GUARD_PAINT, GUARD_BYTES);
    memset(inference->arena + arena_bytes, GUARD_PAINT, GUARD_BYTES);
    return true;
}

static void restore_input(const inference *inference)
{
    memcpy(dcc_model_input(&inference->model, inference->arena), inference->input, inference->model.input_bytes);
}

dcc_status inference_run(inference *inference)
{
    restore_input(inference);
    return dcc_model_run(&inference->model, inference->arena, inference->model.arena_bytes);
}

static uint64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

dcc_status inference_time(inference *inference, uint64_t *nanoseconds)
{
    restore_input(inference);
    const uint64_t start = monotonic_ns();
    const dcc_status status = dcc_model_run(&inference->model, inference->arena, inference->model.arena_bytes);
    *nanoseconds = monotonic_ns() - start;
    return status;
}

/* makecontext passes no pointers, so the call's arguments and results lie here. */
static struct {
    inference *inference;
    dcc_status status;
    const uint8_t *stack_top; /* where the stack stood when dcc_model_run was called */
} call;

static void run_on_this_stack(void)
{
    call.stack_top = __builtin_frame_address(0);
    call.status = dcc_model_run(&call.inference->model, call.inference->arena, call.inference->model.arena_bytes);
}

/* A stack with no access below it: a run that needs more ends with SIGSEGV, not with overwritten memory. */
static uint8_t *map_stack(void)
{
    uint8_t *region = mmap(NULL, NO_ACCESS_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (region == MAP_FAILED || mprotect(region, NO_ACCESS_BYTES, PROT_NONE) != 0) {
        abort();
    }
    return region + NO_ACCESS_BYTES;
}

static void run_on_stack(inference *inference, uint8_t *stack)
{
    ucontext_t here, there;
    call.inference = inference;
    if (getcontext(&there) != 0) {
        abort();
    }
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = STACK_BYTES;
    there.uc_link = &here;
    makecontext(&there, run_on_this_stack, 0);
    if (swapcontext(&here, &there) != 0) {
        abort();
    }
}

static size_t untouched_from_start(const uint8_t *bytes, size_t count, uint8_t paint)
{
    size_t at = 0;
    while (at < count && bytes[at] == paint) {
        at++;
    }
    return at;
}

static size_t untouched_from_end(const uint8_t *bytes, size_t count, uint8_t paint)
{
    size_t untouched = 0;
    while (untouched < count && bytes[count - 1 - untouched] == paint) {
        untouched++;
    }
    return untouched;
}

dcc_status inference_measure_memory(inference *inference, inference_memory *memory)
{
    /* A byte that a run writes can equal one paint, but not both. */
    static const uint8_t paints[] = {0xA5, 0x5A};
    static uint8_t *stack;
    if (stack == NULL) {
        stack = map_stack();
    }
    *memory = (inference_memory){0, 0};
    for (size_t i = 0; i < sizeof paints; i++) {
        memset(stack, paints[i], STACK_BYTES);
        memset(inference->arena, paints[i], inference->model.arena_bytes);
        restore_input(inference);
        run_on_stack(inference, stack);
        if (call.status != DCC_OK) {
            return call.status;
        }
        const size_t arena_bytes = inference->model.arena_bytes;
        const size_t arena_peak = arena_bytes - untouched_from_end(inference->arena, arena_bytes, paints[i]);
        const uint8_t *deepest = stack + untouched_from_start(stack, STACK_BYTES, paints[i]);
        const size_t stack_bytes = (size_t)(call.stack_top - deepest);
        memory->arena_peak_bytes = arena_peak > memory->arena_peak_bytes ? arena_peak : memory->arena_peak_bytes;
        memory->stack_bytes = stack_bytes > memory->stack_bytes ? stack_bytes : memory->stack_bytes;
    }
    return DCC_OK;
}

bool inference_guards_intact(const inference *inference)
{
    const uint8_t *before = inference->arena - GUARD_BYTES;
    const uint8_t *behind = inference->arena + inference->model.arena_bytes;
    return untouched_from_start(before, GUARD_BYTES, GUARD_PAINT) == GUARD_BYTES &&
           untouched_from_start(behind, GUARD_BYTES, GUARD_PAINT) == GUARD_BYTES;
}
