/* SPDX-License-Identifier: Apache-2.0
 *
 * What this image can execute: any artifact that it is sent, or the one that it was linked with.
 */
#ifndef IMAGE_H
#define IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "dcc_runtime.h"

typedef struct {
    const dcc_operators *operators;
    const uint8_t *artifact; /* aligned to 4; NULL where artifacts are sent */
    size_t artifact_bytes;
    const char *agent; /* what hello calls it */
} firmware_image;

/* Defined by image/any_model.c, or by the file that MODEL names to the Makefile. */
extern const firmware_image image;

#endif
