/* SPDX-License-Identifier: Apache-2.0
 *
 * Inferences that are watched: how much arena and stack they use, and how long they take.
 */
#ifndef MEASURE_H
#define MEASURE_H

#include <stdint.h>

#include "deployment.h"
#include "wire_protocol.h"

typedef enum { MEASURE_OK, MEASURE_RUN_FAILED, MEASURE_GUARD_OVERWRITTEN, MEASURE_TIMER_OVERFLOW } measure_outcome;

typedef struct {
    dcc_status status; /* of the runtime, when the outcome is MEASURE_RUN_FAILED */
    uint32_t arena_peak_bytes;
    uint32_t stack_bytes; /* below the caller of dcc_model_run */
    uint32_t count;       /* of ticks */
    uint32_t ticks[WIRE_MAX_REPEATS];
} measurement;

/* One inference, not timed. */
measure_outcome measure_once(deployment *d, measurement *m);

/* One inference for the watermarks, then the warm-ups, then the timed ones; all on the input that is there. */
measure_outcome measure_run(deployment *d, uint32_t warm_ups, uint32_t repeats, measurement *m);

#endif
