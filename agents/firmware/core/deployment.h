/* SPDX-License-Identifier: Apache-2.0
 *
 * The artifact under test and its surroundings in the pool: artifact | guard | arena | guard | input. The input is kept apart
 * from the arena because a run may overwrite what lies there. An artifact that the image was linked with stays in flash.
 */
#ifndef DEPLOYMENT_H
#define DEPLOYMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dcc_runtime.h"
#include "sha256.h"

typedef struct {
    uint8_t *pool;
    size_t pool_bytes;

    const uint8_t *artifact; /* in the pool or in flash */
    size_t artifact_bytes;   /* announced */
    size_t artifact_received;
    uint8_t sha256[SHA256_BYTES];

    bool loaded;
    dcc_model model;
    uint8_t *arena;
    uint8_t *input;
    size_t input_received;
} deployment;

/* Forgets what was there. False when an artifact of this size exceeds the pool, or is not the one in flash. */
bool deployment_begin(deployment *d, size_t artifact_bytes, const uint8_t digest[SHA256_BYTES]);

/* Takes the next bytes of the artifact. False when they are not those of the one in flash. */
bool deployment_receive(deployment *d, const uint8_t *bytes, size_t count);

/* Whether the artifact that arrived is the one that was announced. */
bool deployment_hash_matches(const deployment *d);

/* Has the runtime check the artifact. */
dcc_status deployment_check(deployment *d);

/* Pool bytes that artifact, arena, guards and input take together. */
uint64_t deployment_needs(const deployment *d);

/* Lays arena, guards and input out; deployment_needs must not exceed the pool. */
void deployment_finish(deployment *d);

bool deployment_input_complete(const deployment *d);

/* Puts the input into the arena, where a run will find it. */
void deployment_place_input(deployment *d);

/* Whether a run has left the words around its arena alone. */
bool deployment_guards_intact(const deployment *d);

#endif
