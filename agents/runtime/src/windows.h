/* SPDX-License-Identifier: Apache-2.0
 *
 * What a sliding window sees of an image.
 */
#ifndef DCC_WINDOWS_H
#define DCC_WINDOWS_H

#include "format.h"

/* The taps [first, end) of a window along one axis that lie inside the image; origin is where tap 0 lies. */
typedef struct {
    int32_t origin;
    int32_t first;
    int32_t end;
} dcc_span;

/* dilation: axis->dilation, or 1 where it is known to be that. */
dcc_span dcc_clip(uint32_t output_position, const dcc_axis *axis, int32_t dilation, uint32_t image_size);

/* Whether each pixel of an output as high and as wide as the input sees the input pixel at its place alone. */
int dcc_is_point(const dcc_window *window);

#endif
