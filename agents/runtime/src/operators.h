/* SPDX-License-Identifier: Apache-2.0
 *
 * One operator as its record says, and the tables of what can execute it.
 */
#ifndef DCC_OPERATORS_H
#define DCC_OPERATORS_H

#include "arithmetic.h"
#include "channels.h"
#include "cursor.h"
#include "dcc_runtime.h"
#include "format.h"
#include "weights.h"

/* What a convolution has beside the fields of all operators. */
typedef struct {
    uint32_t groups;
    uint32_t kernel_bits; /* the byte of FORMAT.md: kernel and encoding */
    uint32_t filters_at_once;
    uint32_t rows_at_once;
    uint32_t scratch_words; /* where in the arena, divided by 4 */
    int32_t residual_low;
    int32_t residual_high;
    dcc_channel_form channel_form;
    dcc_weight_form weight_form;
    const uint8_t *padding; /* up to the data */
    const uint8_t *data;
    const uint8_t *data_end;
    uint32_t scratch_bytes; /* not stored: found by the check */
} dcc_conv;

/* Fields that the operator's kind does not have are 0. */
typedef struct {
    uint32_t kind_byte;
    uint32_t input_index;
    uint32_t output_index;
    uint32_t second_index;
    dcc_tensor input; /* FLATTEN has been applied */
    dcc_tensor output;
    dcc_tensor second; /* or the residual; where dcc_reads_second */
    dcc_window window;
    dcc_scaling scaling;       /* its clamp is that of every operator */
    int32_t multiplier;        /* of add, concatenate, average pool, multiply; of a residual add */
    int32_t second_multiplier; /* of add, concatenate; of a residual add */
    int32_t offset;            /* the bias of average pool and multiply */
    int32_t second_offset;     /* of concatenate */
    uint32_t shift;            /* of add, concatenate; of a residual add */
    uint32_t top;              /* of pad: rows above, columns left of the image */
    uint32_t left;
    const uint8_t *table; /* of lookup, softmax */
    dcc_conv conv;
} dcc_operator;

/* What a kind of operator is made of; every kind has its own file. */
typedef struct {
    uint32_t bits; /* that may be set beside the kind */
    int second;    /* whether it always reads a second tensor */
    /* Reads the fields behind the clamp. */
    void (*read)(dcc_operator *operator, dcc_cursor *cursor);
    /* Checks all that running trusts. */
    dcc_status (*check)(dcc_operator *operator, const dcc_model *model);
    void (*run)(const dcc_operator *operator, const dcc_model *model, uint8_t *arena);
} dcc_kind;

/* What a convolution's weights are, for its scratch. */
typedef struct {
    uint32_t nonzeros;  /* of the fullest filter */
    uint32_t entries;   /* pairs of weights that are not both zero (BAND), of the fullest group of filters_at_once */
    uint32_t magnitude; /* sum of |weight|, of the filter where it is largest */
} dcc_weight_totals;

struct dcc_conv_job;

typedef struct {
    /* Whether it can execute the convolution, its weights aside. */
    int (*takes)(const dcc_operator *operator);
    uint64_t (*scratch)(const dcc_operator *operator, const dcc_weight_totals *totals);
    /* Whether it has read what it writes over, where the output lies on the input as it does here; NULL: it never has. */
    int (*overwrites)(const dcc_operator *operator);
    void (*run)(const struct dcc_conv_job *job);
} dcc_kernel;

/* By the numbers of FORMAT.md; NULL where a build leaves something out. RAW weights need no decoding. */
struct dcc_operators {
    const dcc_kind *kinds[DCC_KINDS];
    const dcc_kernel *kernels[DCC_KERNELS];
    const dcc_encoding *encodings[DCC_ENCODINGS];
};

extern const dcc_kind dcc_kind_convolution;
extern const dcc_kind dcc_kind_add;
extern const dcc_kind dcc_kind_average_pool;
extern const dcc_kind dcc_kind_max_pool;
extern const dcc_kind dcc_kind_relu;
extern const dcc_kind dcc_kind_multiply;
extern const dcc_kind dcc_kind_concatenate;
extern const dcc_kind dcc_kind_pad;
extern const dcc_kind dcc_kind_lookup;
extern const dcc_kind dcc_kind_softmax;
extern const dcc_kind dcc_kind_argmax;

extern const dcc_kernel dcc_kernel_general;
extern const dcc_kernel dcc_kernel_tile;
extern const dcc_kernel dcc_kernel_band;
extern const dcc_kernel dcc_kernel_depthwise;
extern const dcc_kernel dcc_kernel_vector;

static inline uint32_t dcc_kind_of(const dcc_operator *operator) { return operator->kind_byte & 15u; }

static inline uint32_t dcc_kernel_of(const dcc_operator *operator) { return operator->conv.kernel_bits & 7u; }

static inline const int8_t *dcc_input(const dcc_tensor *tensor, const uint8_t *arena) {
    return (const int8_t *)(arena + tensor->at);
}

static inline int8_t *dcc_output(const dcc_tensor *tensor, uint8_t *arena) { return (int8_t *)(arena + tensor->at); }

#endif
