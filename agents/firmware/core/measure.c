/* SPDX-License-Identifier: Apache-2.0 */
#include "measure.h"

#include "paint.h"
#include "port.h"

#define CALIBRATIONS 8

static dcc_status run(const deployment *d) { return dcc_model_run(&d->model, d->arena, d->model.arena_bytes); }

static measure_outcome judge(const deployment *d, dcc_status status, measurement *m) {
    m->status = status;
    if (status != DCC_OK) return MEASURE_RUN_FAILED;
    return deployment_guards_intact(d) ? MEASURE_OK : MEASURE_GUARD_OVERWRITTEN;
}

measure_outcome measure_once(deployment *d, measurement *m) {
    deployment_place_input(d);
    return judge(d, run(d), m);
}

/* Paints the stack that is free below its own frame, so it must neither be inlined nor call anything while it paints. */
static __attribute__((noinline)) measure_outcome measure_memory(deployment *d, measurement *m) {
    uint32_t *const arena = (uint32_t *)(void *)d->arena;
    uint32_t *const arena_end = arena + d->model.arena_bytes / sizeof *arena;
    uint32_t *const stack_bottom = port_stack_bottom();
    paint(arena, arena_end);
    deployment_place_input(d);

    port_quiet_begin(); /* the frames of interrupts are the agent's, not the runtime's */
    uint32_t *const stack_top = port_stack_pointer();
    paint(stack_bottom, stack_top);
    const dcc_status status = run(d);
    uint32_t *const stack_peak = first_used(stack_bottom, stack_top);
    port_quiet_end();

    const uint32_t *const arena_peak = last_used(arena, arena_end);
    m->arena_peak_bytes =
        arena_peak == arena_end ? d->model.arena_bytes : (uint32_t)((size_t)(arena_peak - arena) * sizeof *arena);
    m->stack_bytes = (uint32_t)((size_t)(stack_top - stack_peak) * sizeof *stack_top);
    return judge(d, status, m);
}

/* Ticks that pass while nothing is timed: the least of several, so that caches are warm. */
static uint32_t timer_overhead(void) {
    uint32_t least = UINT32_MAX;
    for (int i = 0; i < CALIBRATIONS; i++) {
        uint32_t ticks = UINT32_MAX;
        port_timer_start();
        (void)port_timer_stop(&ticks);
        if (ticks < least) least = ticks;
    }
    return least;
}

static measure_outcome measure_time(deployment *d, uint32_t overhead, measurement *m) {
    uint32_t ticks = 0;
    deployment_place_input(d);
    port_quiet_begin();
    port_timer_start();
    const dcc_status status = run(d);
    const bool counted = port_timer_stop(&ticks);
    port_quiet_end();
    if (!counted) return MEASURE_TIMER_OVERFLOW;
    m->ticks[m->count++] = ticks > overhead ? ticks - overhead : 0;
    return judge(d, status, m);
}

measure_outcome measure_run(deployment *d, uint32_t warm_ups, uint32_t repeats, measurement *m) {
    m->count = 0;
    measure_outcome outcome = measure_memory(d, m);
    for (uint32_t i = 0; i < warm_ups && outcome == MEASURE_OK; i++) outcome = measure_once(d, m);
    port_quiet_begin();
    const uint32_t overhead = timer_overhead();
    port_quiet_end();
    for (uint32_t i = 0; i < repeats && outcome == MEASURE_OK; i++) outcome = measure_time(d, overhead, m);
    return outcome;
}
