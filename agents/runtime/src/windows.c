/* SPDX-License-Identifier: Apache-2.0
 *
 * See windows.h.
 */
#include "windows.h"

/* How many of a window's taps lie before a point so far from its first tap. */
static int32_t taps_before(int32_t distance, int32_t kernel, int32_t dilation) {
    if (distance <= 0) return 0;
    if (dilation != 1) distance = (distance + dilation - 1) / dilation;
    return distance < kernel ? distance : kernel;
}

static int is_point(const dcc_axis *axis) { return axis->kernel == 1 && axis->stride == 1 && axis->padding == 0; }

int dcc_is_point(const dcc_window *window) { return is_point(&window->y) && is_point(&window->x); }

dcc_span dcc_clip(uint32_t output_position, const dcc_axis *axis, int32_t dilation, uint32_t image_size) {
    dcc_span span;
    span.origin = (int32_t)output_position * axis->stride - axis->padding;
    span.first = taps_before(-span.origin, axis->kernel, dilation);
    span.end = taps_before((int32_t)image_size - span.origin, axis->kernel, dilation);
    return span;
}
