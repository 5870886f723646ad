/* SPDX-License-Identifier: Apache-2.0
 *
 * One loaded artifact and what is measured of it: outputs, durations, and the memory that it really touches.
 */
#ifndef INFERENCE_H
#define INFERENCE_H

#include "dcc_runtime.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    dcc_model model;
    uint8_t *arena;  /* model.arena_bytes, with a guard before and behind */
    uint8_t *input;  /* what every run starts from; model.input_bytes */
} inference;

typedef struct {
    size_t arena_peak_bytes; /* up to the highest byte that a run wrote */
    size_t stack_bytes;      /* deepest byte that a run wrote on its stack */
} inference_memory;

/* Allocates arena and input for inference->model; false when there is no memory. */
bool inference_allocate(inference *inference);

/* One run from the stored input. */
dcc_status inference_run(inference *inference);

/* As inference_run; *nanoseconds: what dcc_model_run took on CLOCK_MONOTONIC. */
dcc_status inference_time(inference *inference, uint64_t *nanoseconds);

/* Runs on a painted arena and a painted stack and finds what was overwritten. */
dcc_status inference_measure_memory(inference *inference, inference_memory *memory);

/* False when a run wrote outside its arena. */
bool inference_guards_intact(const inference *inference);

#endif
