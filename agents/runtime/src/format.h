/* SPDX-License-Identifier: Apache-2.0
 *
 * The numbers of compression/dccdka/packing/FORMAT.md, and the shapes that operators work on. Whole numbers of the
 * artifact are read byte by byte, so neither the host's byte order nor alignment matters.
 */
#ifndef DCC_FORMAT_H
#define DCC_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define DCC_FORMAT_VERSION 3u
#define DCC_FIXED_HEADER_BYTES 20u
#define DCC_MAX_BYTES (1u << 28) /* of artifact and arena: bit positions then fit 32 bits */
#define DCC_MAX_TENSORS 512u
#define DCC_MAX_OPERATORS 512u
#define DCC_MAX_FILTER_WEIGHTS 65535u
#define DCC_MAX_WEIGHTS (1u << 28) /* of a convolution: a few bytes of CODED could claim any number */
#define DCC_LOOKUP_BYTES 256u
#define DCC_EXPONENTIALS_BYTES 512u
#define DCC_FIRST_EXPONENTIAL (1u << 15)

enum {
    DCC_CONVOLUTION = 1,
    DCC_ADD = 2,
    DCC_AVERAGE_POOL = 3,
    DCC_MAX_POOL = 4,
    DCC_RELU = 5,
    DCC_MULTIPLY = 6,
    DCC_CONCATENATE = 7,
    DCC_PAD = 8,
    DCC_LOOKUP = 9,
    DCC_SOFTMAX = 10,
    DCC_ARGMAX = 11,
    DCC_KINDS = 12
};
enum { DCC_CLAMPED = 0x10, DCC_FLATTEN = 0x20, DCC_RESIDUAL = 0x40 }; /* bits beside the kind */
enum { DCC_GENERAL = 0, DCC_TILE = 1, DCC_BAND = 2, DCC_DEPTHWISE = 3, DCC_VECTOR = 4, DCC_KERNELS = 5 };

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

static inline uint32_t dcc_u16(const uint8_t *at) { return (uint32_t)at[0] | ((uint32_t)at[1] << 8); }

static inline uint32_t dcc_u32(const uint8_t *at) { return dcc_u16(at) | (dcc_u16(at + 2) << 16); }

static inline uint32_t dcc_round_up(uint32_t count, uint32_t multiple) {
    return (count + multiple - 1u) / multiple * multiple;
}

static inline uint32_t dcc_tensor_bytes(const dcc_tensor *tensor) {
    return tensor->height * tensor->width * tensor->channels;
}

static inline int32_t dcc_extent(const dcc_axis *axis) { return (axis->kernel - 1) * axis->dilation + 1; }

#endif
