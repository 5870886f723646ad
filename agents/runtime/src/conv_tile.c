/* SPDX-License-Identifier: Apache-2.0
 *
 * Dense convolution in tiles of 4 neighbouring output pixels and 2 filters; see conv_tile.h.
 */
#include "conv_tile.h"

/* Where the taps of an output pixel lie, and how many bytes of each kernel row are left and right of the image. */
typedef struct {
    int32_t row;    /* of the input, of the first tap; may be outside */
    int32_t column;
    uint32_t first; /* of a kernel row's bytes, the first inside */
    uint32_t end;
} place;

static uint32_t taps_before(int32_t distance, int32_t kernel) {
    if (distance <= 0) return 0u;
    return (uint32_t)(distance < kernel ? distance : kernel);
}

static place place_of(const dcc_conv_job *job, uint32_t pixel) {
    const dcc_axis *const x = &job->window.x;
    const int32_t row = (int32_t)(pixel / job->output_width);
    place at;
    at.row = row * job->window.y.stride - job->window.y.padding;
    at.column = (int32_t)(pixel - (uint32_t)row * job->output_width) * x->stride - x->padding;
    at.first = taps_before(-at.column, x->kernel) * job->input_channels;
    at.end = taps_before((int32_t)job->input_width - at.column, x->kernel) * job->input_channels;
    return at;
}

/* One kernel row of `bytes` inputs of a pixel; they lie from `from` on, which counts only from `first` to `end`, and
 * what lies outside the image is `zero`. `from` is modulo 2^32. Gives `sum` + their sum. */
static int32_t put_row(
    uint32_t *group, uint32_t pixel, const int8_t *image, uint32_t from, uint32_t first, uint32_t end, uint32_t bytes,
    int32_t zero, int32_t sum) {
    uint32_t at = 0u;
    while (at < bytes) {
        if (at >= first && at + 4u <= end) {
            const uint32_t groups = (end - at) / 4u;
            sum = dcc_patch_copy(group, pixel, image + (from + at), groups, sum);
            group += DCC_GROUP_WORDS * groups;
            at += 4u * groups;
        } else {
            uint32_t i;
            for (i = 0u; i < 4u; i++, at++) {
                int32_t value = at < bytes ? zero : 0;
                if (at >= first && at < end) value = image[from + at];
                dcc_patch_put(group, pixel, i, value);
                sum += value;
            }
            group += DCC_GROUP_WORDS;
        }
    }
    return sum;
}

/* What the output pixel sees, as pixel `column` of the patch. */
static void put_pixel(const dcc_conv_job *job, const dcc_patch *patch, uint32_t column, uint32_t pixel) {
    const place at = place_of(job, pixel);
    const uint32_t bytes = (uint32_t)job->window.x.kernel * job->input_channels;
    const uint32_t stride = job->input_width * job->input_channels;
    uint32_t *group = patch->words + DCC_PATCH_START;
    uint32_t from = ((uint32_t)at.row * job->input_width + (uint32_t)at.column) * job->input_channels;
    int32_t sum = 0;
    int32_t row;
    for (row = at.row; row < at.row + job->window.y.kernel; row++) {
        const int inside = row >= 0 && row < (int32_t)job->input_height;
        sum = put_row(
            group, column, job->x, from, inside ? at.first : bytes, inside ? at.end : bytes, bytes,
            job->input_zero_point, sum);
        from += stride;
        group += (bytes + 3u) / 4u * DCC_GROUP_WORDS;
    }
    dcc_patch_start(
        patch, column, (uint32_t)(-job->weight_zero_point * sum), (uint32_t)((128 - job->weight_zero_point) * sum));
}

/* Finishes the sums of a pair, from `filter` of the group on, at `pixels` pixels from `pixel` on. */
static void run_pair(
    const dcc_conv_job *job, const dcc_patch *patch, const dcc_filters *group, uint32_t filter, uint32_t pixel,
    uint32_t pixels) {
    uint32_t sums[2u * DCC_TILE_PIXELS];
    const uint32_t pair = group->count - filter < 2u ? 1u : 2u;
    uint32_t i;
    dcc_tile_sums(patch, group->codes + patch->inputs * filter, sums);
    for (i = 0u; i < pixels; i++) {
        const size_t at = (size_t)(pixel + i) * job->output_channels + group->first + filter;
        uint32_t j;
        for (j = 0u; j < pair; j++) {
            job->y[at + j] =
                dcc_finish(job, &group->channels[filter + j], (int32_t)sums[DCC_TILE_PIXELS * j + i], at + j);
        }
    }
}

static void run_group(const dcc_conv_job *job, const dcc_patch *patch, const dcc_filters *group) {
    const uint32_t pixels = job->output_height * job->output_width;
    uint32_t pixel;
    for (pixel = 0u; pixel < pixels; pixel += DCC_TILE_PIXELS) {
        const uint32_t left = pixels - pixel;
        uint32_t filter = 0u;
        uint32_t i;
        for (i = 0u; i < DCC_TILE_PIXELS; i++) put_pixel(job, patch, i, i < left ? pixel + i : pixels - 1u);
#if DCC_DSP
        if (left >= DCC_TILE_PIXELS) filter = dcc_tile_finished(job, patch, group, pixel);
#endif
        for (; filter < group->count; filter += 2u) {
            run_pair(job, patch, group, filter, pixel, left < DCC_TILE_PIXELS ? left : DCC_TILE_PIXELS);
        }
    }
}

/* Decodes the filters of a group into the order of RAW. What a missing last filter has counts for nothing. */
static void decode(const dcc_conv_job *job, dcc_weights *weights, uint32_t count, uint8_t *codes) {
    static const uint8_t places[4] = {0u, 4u, 2u, 6u};
    const uint32_t row_weights = (uint32_t)job->window.x.kernel * job->input_channels;
    const uint32_t inputs = (uint32_t)job->window.y.kernel * ((row_weights + 3u) & ~3u);
    uint32_t filter;
    for (filter = 0u; filter < count; filter++) {
        uint8_t *row = codes + inputs * (filter & ~1u) + (filter & 1u);
        const uint32_t flip = (filter & 1u) != 0u ? 0x80u : 0u;
        int32_t kernel_row;
        for (kernel_row = 0; kernel_row < job->window.y.kernel; kernel_row++) {
            uint32_t at;
            for (at = 0u; at < row_weights;) {
                int16_t chunk[32];
                const uint32_t part = row_weights - at < 32u ? row_weights - at : 32u;
                uint32_t i;
                dcc_take_weights(weights, chunk, part);
                for (i = 0u; i < part; i++, at++) {
                    row[2u * (at & ~3u) + places[at & 3u]] =
                        (uint8_t)((uint32_t)(chunk[i] + job->weight_zero_point) ^ flip);
                }
            }
            row += 2u * ((row_weights + 3u) & ~3u);
        }
    }
}

void dcc_conv_tile(const dcc_conv_job *job) {
    const uint32_t row_inputs = ((uint32_t)job->window.x.kernel * job->input_channels + 3u) & ~3u;
    dcc_weights weights = job->weights;
    dcc_channels channels = job->channels;
    uint8_t *scratch = job->scratch;
    dcc_patch patch;
    dcc_filters group;
    patch.inputs = (uint32_t)job->window.y.kernel * row_inputs;
    group.channels = (dcc_channel *)(void *)scratch;
    scratch += sizeof(dcc_channel) * job->filters_at_once;
    patch.words = (uint32_t *)(void *)scratch;
    scratch += 4u * DCC_PATCH_START + 8u * patch.inputs;
    for (group.first = 0u; group.first < job->output_channels; group.first += group.count) {
        const uint32_t left = job->output_channels - group.first;
        uint32_t i;
        group.count = left < job->filters_at_once ? left : job->filters_at_once;
        for (i = 0u; i < group.count; i++) group.channels[i] = dcc_next_channel(&channels);
        if (job->raw != NULL) {
            group.codes = job->raw + patch.inputs * group.first;
        } else {
            decode(job, &weights, group.count, scratch);
            group.codes = scratch;
        }
        run_group(job, &patch, &group);
    }
}
