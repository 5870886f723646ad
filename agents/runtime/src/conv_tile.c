/* SPDX-License-Identifier: Apache-2.0
 *
 * Dense convolution in tiles of 4 neighbouring output pixels and 2 filters; see conv_tile.h.
 */
#include "conv_tile.h"

#if !DCC_NEON
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
#endif

static void run_group(dcc_filler *filler, const dcc_filters *group) {
    const dcc_conv_job *const job = filler->job;
    const uint32_t pixels = job->output_height * job->output_width;
    uint32_t pixel;
#if DCC_DSP
    dcc_tile tile;
    const uint32_t whole = dcc_tile_whole(&tile, job, &filler->patch, group);
#endif
    dcc_fill_from_start(filler);
    for (pixel = 0u; pixel < pixels; pixel += DCC_TILE_PIXELS) {
        const uint32_t left = pixels - pixel;
        const uint32_t count = left < DCC_TILE_PIXELS ? left : DCC_TILE_PIXELS;
#if DCC_NEON
        dcc_fill_next(filler, count);
        dcc_tile_filters(job, &filler->patch, group, pixel, count);
#else
        uint32_t filter = 0u;
        dcc_fill_next(filler, count);
#if DCC_DSP
        if (whole != 0u && count == DCC_TILE_PIXELS) {
            const size_t at = (size_t)pixel * job->output_channels + group->first;
            tile.y = job->y + at;
            if (job->residual.x != NULL) tile.residual = job->residual.x + at;
            dcc_tile_pairs(&tile);
            filter = whole;
        }
#endif
        for (; filter < group->count; filter += 2u) run_pair(job, &filler->patch, group, filter, pixel, count);
#endif
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
    dcc_channel *const of_group = (dcc_channel *)(void *)job->scratch;
    dcc_filler filler = dcc_filler_of(job, (uint32_t *)(void *)(of_group + job->filters_at_once));
    uint8_t *const decoded = (uint8_t *)(filler.patch.words + DCC_PATCH_START + 2u * filler.patch.inputs);
    dcc_weights weights = job->weights;
    dcc_channels channels = job->channels;
    dcc_filters group;
    group.channels = of_group;
    for (group.first = 0u; group.first < job->output_channels; group.first += group.count) {
        const uint32_t left = job->output_channels - group.first;
        group.count = left < job->filters_at_once ? left : job->filters_at_once;
        dcc_take_channels(&channels, of_group, group.count);
        if (job->raw != NULL) {
            group.codes = job->raw + filler.patch.inputs * group.first;
        } else {
            decode(job, &weights, group.count, decoded);
            group.codes = decoded;
        }
        run_group(&filler, &group);
    }
}
