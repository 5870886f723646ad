/* SPDX-License-Identifier: Apache-2.0
 *
 * The artifact's binary layout as C structs; offsets are those of compression/dccdka/packing/FORMAT.md.
 * Fields are read byte by byte, so neither the host's byte order nor alignment matters.
 */
#ifndef DCC_FORMAT_H
#define DCC_FORMAT_H

#include "dcc_runtime.h"

#define DCC_FORMAT_VERSION 2u
#define DCC_HEADER_BYTES 36u
#define DCC_TENSOR_BYTES 12u
#define DCC_MAX_BYTES (1u << 28) /* of artifact and arena: bit positions then fit 32 bits */
#define DCC_MAX_TENSORS 512u
#define DCC_MAX_OPERATORS 512u
#define DCC_MAX_FILTER_WEIGHTS 65535u
#define DCC_LOOKUP_BYTES 256u
#define DCC_EXPONENTIALS_BYTES 512u
#define DCC_FIRST_EXPONENTIAL (1u << 15)

enum {
    DCC_CONV = 1,
    DCC_ADD = 2,
    DCC_AVERAGE_POOL = 3,
    DCC_MAX_POOL = 4,
    DCC_RELU = 5,
    DCC_MULTIPLY = 6,
    DCC_CONCATENATE = 7,
    DCC_PAD = 8,
    DCC_LOOKUP = 9,
    DCC_SOFTMAX = 10,
    DCC_ARGMAX = 11
};
enum { DCC_DENSE = 0, DCC_BITMAP = 1 };

typedef struct {
    uint32_t at; /* in the arena */
    uint32_t height;
    uint32_t width;
    uint32_t channels;
    int32_t zero_point;
} dcc_tensor;

typedef struct {
    int32_t kernel;
    int32_t stride;
    int32_t padding; /* before the image; behind it lies what the output's size asks for */
    int32_t dilation;
} dcc_axis;

typedef struct {
    dcc_axis y;
    dcc_axis x;
} dcc_window;

/* One operator record with its tensors looked up. */
typedef struct {
    uint32_t kind;
    int32_t low;
    int32_t high;
    dcc_tensor input;
    dcc_tensor output;
} dcc_operator;

typedef struct {
    dcc_window window;
    uint32_t encoding;
    uint32_t bits;      /* of an index */
    uint32_t code_bits; /* of a code */
    uint32_t groups;
    int32_t weight_zero_point;
    uint32_t data_at;
    uint32_t data_bytes;
    uint32_t scratch_at;
    uint32_t scratch_bytes;
} dcc_conv;

typedef struct {
    dcc_tensor second;
    uint32_t shift;
    int32_t multiplier;
    int32_t second_multiplier; /* 0 for multiply, which has only one */
} dcc_pair;

typedef struct {
    dcc_window window;
    uint32_t shift; /* average pool only, as is the multiplier */
    int32_t multiplier;
} dcc_pool;

/* Rows above and columns left of the image. */
typedef struct {
    uint32_t top;
    uint32_t left;
} dcc_pad;

static inline uint32_t dcc_u16(const uint8_t *at) { return (uint32_t)at[0] | ((uint32_t)at[1] << 8); }

static inline uint32_t dcc_u32(const uint8_t *at) { return dcc_u16(at) | (dcc_u16(at + 2) << 16); }

static inline int32_t dcc_i32(const uint8_t *at) { return (int32_t)dcc_u32(at); }

static inline uint32_t dcc_tensor_bytes(const dcc_tensor *tensor) {
    return tensor->height * tensor->width * tensor->channels;
}

/* Whether operators of this kind read a second tensor. */
static inline int dcc_is_pair(uint32_t kind) {
    return kind == DCC_ADD || kind == DCC_MULTIPLY || kind == DCC_CONCATENATE;
}

static inline int32_t dcc_extent(const dcc_axis *axis) { return (axis->kernel - 1) * axis->dilation + 1; }

/* Bytes of the record of this kind, 0 for an unknown kind. */
uint32_t dcc_record_bytes(uint32_t kind);

/* The readers below trust indices and offsets: dcc_model_load has checked them before. */
dcc_tensor dcc_read_tensor(const uint8_t *artifact, uint32_t index);
dcc_operator dcc_read_operator(const uint8_t *artifact, const uint8_t *record);
dcc_conv dcc_read_conv(const uint8_t *record);
dcc_pair dcc_read_pair(const uint8_t *artifact, const uint8_t *record);
dcc_pool dcc_read_pool(const uint8_t *record);
dcc_pad dcc_read_pad(const uint8_t *record);

/* Of a lookup or a softmax: where its table lies in the artifact. */
static inline uint32_t dcc_table_at(const uint8_t *record) { return dcc_u32(record + 8); }

#endif
