/* SPDX-License-Identifier: Apache-2.0
 *
 * The on-device inference library: runs a packed artifact in place, in an arena that the caller owns.
 * No heap, no globals, nothing from libc beyond memcpy and memset. The artifact format is described in
 * compression/dccdka/packing/FORMAT.md; the NumPy interpreter there defines what every operator must compute.
 */
#ifndef DCC_RUNTIME_H
#define DCC_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DCC_ALIGNMENT 4u /* of the artifact and of the arena, in bytes */

typedef enum {
    DCC_OK = 0,
    DCC_ERROR_TOO_SHORT = 1,       /* fewer bytes than the header needs or announces */
    DCC_ERROR_MAGIC = 2,           /* not an artifact */
    DCC_ERROR_VERSION = 3,         /* an artifact of another format version */
    DCC_ERROR_CHECKSUM = 4,        /* CRC-32 differs: damaged */
    DCC_ERROR_ALIGNMENT = 5,       /* artifact or arena is not aligned to DCC_ALIGNMENT */
    DCC_ERROR_OPERATOR = 6,        /* an operator, kernel or encoding that this build does not have */
    DCC_ERROR_SHAPE = 7,           /* dimensions that do not belong together */
    DCC_ERROR_ARENA_RANGE = 8,     /* a tensor or scratch outside the announced arena */
    DCC_ERROR_DATA_RANGE = 9,      /* a field, weights or a table outside the artifact, or a number not canonical */
    DCC_ERROR_ENCODING = 10,       /* weights and their description disagree */
    DCC_ERROR_REQUANTISATION = 11, /* a shift, multiplier, clamp or table out of range */
    DCC_ERROR_ARENA_TOO_SMALL = 12 /* the caller's arena is smaller than arena_bytes */
} dcc_status;

/* What a build can execute: operators, convolution kernels and weight encodings. An artifact that needs more is refused.
 * dcc_all_operators has everything; a table that names only what a model needs lets the linker drop the rest. */
typedef struct dcc_operators dcc_operators;
extern const dcc_operators dcc_all_operators;

/* A checked view of an artifact; borrowed, so artifact and operators must outlive it. */
typedef struct {
    const dcc_operators *operators;
    const uint8_t *artifact;
    uint32_t artifact_bytes;
    uint32_t arena_bytes;
    uint32_t input_at; /* offset of the input tensor in the arena */
    uint32_t input_bytes;
    uint32_t output_at;
    uint32_t output_bytes;
    uint32_t tensors_at; /* in the artifact, as is operators_at */
    uint32_t operators_at;
    uint32_t operator_count;
} dcc_model;

/* Checks every offset and size in the artifact once, so that dcc_model_run needs no further checks. artifact_bytes: how
 * many may be read; the artifact itself may be shorter. On an error the model is not to be used. */
dcc_status dcc_model_load(
    dcc_model *model, const dcc_operators *operators, const void *artifact, size_t artifact_bytes);

/* Where to put the input (NHWC int8, input_bytes) before each run; a run may overwrite it. */
int8_t *dcc_model_input(const dcc_model *model, void *arena);

/* Executes all operators. arena must be DCC_ALIGNMENT-aligned and hold at least model->arena_bytes. */
dcc_status dcc_model_run(const dcc_model *model, void *arena, size_t arena_bytes);

/* Where the output lies after a run (int8, output_bytes). */
const int8_t *dcc_model_output(const dcc_model *model, const void *arena);

#ifdef __cplusplus
}
#endif

#endif
