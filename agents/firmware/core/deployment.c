/* SPDX-License-Identifier: Apache-2.0 */
#include "deployment.h"

#include <string.h>

#include "image.h"
#include "port.h"

#define GUARD_BYTES 32u
#define GUARD 0xa7u

static uint64_t aligned(uint64_t bytes) {
    return (bytes + PORT_POOL_ALIGNMENT - 1) / PORT_POOL_ALIGNMENT * PORT_POOL_ALIGNMENT;
}

static void set_guard(uint8_t *at) { memset(at, GUARD, GUARD_BYTES); }

static bool guard_intact(const uint8_t *at) {
    for (size_t i = 0; i < GUARD_BYTES; i++)
        if (at[i] != GUARD) return false;
    return true;
}

bool deployment_begin(deployment *d, size_t artifact_bytes, const uint8_t digest[SHA256_BYTES]) {
    d->loaded = false;
    d->artifact_bytes = 0; /* nothing can be received until an artifact of a fitting size is announced */
    d->artifact_received = 0;
    if (image.artifact == NULL ? artifact_bytes > d->pool_bytes : artifact_bytes != image.artifact_bytes) return false;
    d->artifact = image.artifact == NULL ? d->pool : image.artifact;
    d->artifact_bytes = artifact_bytes;
    memcpy(d->sha256, digest, SHA256_BYTES);
    return true;
}

bool deployment_receive(deployment *d, const uint8_t *bytes, size_t count) {
    const size_t at = d->artifact_received;
    if (image.artifact == NULL)
        memcpy(d->pool + at, bytes, count);
    else if (memcmp(image.artifact + at, bytes, count) != 0)
        return false;
    d->artifact_received += count;
    return true;
}

bool deployment_hash_matches(const deployment *d) {
    uint8_t digest[SHA256_BYTES];
    sha256(d->artifact, d->artifact_bytes, digest);
    return memcmp(digest, d->sha256, sizeof digest) == 0;
}

dcc_status deployment_check(deployment *d) {
    return dcc_model_load(&d->model, image.operators, d->artifact, d->artifact_bytes);
}

/* Of the pool, that the artifact takes. */
static uint64_t artifact_room(const deployment *d) {
    return image.artifact == NULL ? aligned(d->artifact_bytes) : 0;
}

uint64_t deployment_needs(const deployment *d) {
    return artifact_room(d) + GUARD_BYTES + d->model.arena_bytes + GUARD_BYTES + d->model.input_bytes;
}

void deployment_finish(deployment *d) {
    d->arena = d->pool + artifact_room(d) + GUARD_BYTES;
    d->input = d->arena + d->model.arena_bytes + GUARD_BYTES;
    d->input_received = 0;
    set_guard(d->arena - GUARD_BYTES);
    set_guard(d->arena + d->model.arena_bytes);
    d->loaded = true;
}

bool deployment_input_complete(const deployment *d) { return d->loaded && d->input_received == d->model.input_bytes; }

void deployment_place_input(deployment *d) {
    memcpy(dcc_model_input(&d->model, d->arena), d->input, d->model.input_bytes);
}

bool deployment_guards_intact(const deployment *d) {
    return guard_intact(d->arena - GUARD_BYTES) && guard_intact(d->arena + d->model.arena_bytes);
}
