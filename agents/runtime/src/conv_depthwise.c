/* SPDX-License-Identifier: Apache-2.0
 *
 * DEPTHWISE: 4 channels at a time are widened to 16 bits, each into a plane of its own, where 8 neighbouring outputs
 * read neighbouring words.
 */
#include "conv_depthwise.h"
#include "dsp.h"
#if DCC_DSP
#include "conv_depthwise_dsp.h"
#endif

typedef struct {
    const dcc_conv_job *job;
    dcc_depthwise_rows rows;
    uint32_t plane_size; /* in values */
    dcc_depthwise_tile *tiles; /* of the band, and one more x */
    int16_t *planes;
    int16_t *taps; /* of 4 channels */
    uint8_t *sink; /* a byte a channel */
    uint32_t outside; /* what a tile has for y where there is no output */
} planes_work;

typedef struct {
    uint32_t first; /* output row */
    uint32_t count;
} output_rows;

static void add_tile(
    const planes_work *work, uint32_t row, uint32_t position, const output_rows *band, dcc_depthwise_tile *tile) {
    const dcc_conv_job *const job = work->job;
    const uint32_t width = job->output_width;
    uint32_t i;
    tile->x = 2u * (row * (uint32_t)job->window.y.stride * work->rows.pitch + position * (uint32_t)job->window.x.stride) + 4u;
    for (i = 0u; i < DCC_DEPTHWISE_OUTPUTS; i++, position++) {
        uint32_t y = row;
        uint32_t x = position;
        if (work->rows.joined) {
            y = position / work->rows.pitch;
            x = position % work->rows.pitch;
        }
        tile->y[i] = x < width && y < band->count ? (y * width + x) * job->output_channels : work->outside;
    }
}

/* Lists the tiles of a band; the last one's x is 0. */
static void list_tiles(planes_work *work, const output_rows *band) {
    const uint32_t width = work->job->output_width;
    dcc_depthwise_tile *tile = work->tiles;
    const uint32_t rows = work->rows.joined ? 1u : band->count;
    const uint32_t end = work->rows.joined ? (band->count - 1u) * work->rows.pitch + width : width;
    uint32_t row;
#if DCC_DSP
    const int8_t *y = work->job->y + (size_t)band->first * width * work->job->output_channels;
    work->outside = (uint32_t)work->sink - (uint32_t)y;
#else
    work->outside = UINT32_MAX;
#endif
    for (row = 0u; row < rows; row++) {
        uint32_t position;
        for (position = 0u; position < end; position += DCC_DEPTHWISE_OUTPUTS) {
            add_tile(work, row, position, band, tile++);
        }
    }
    tile->x = 0u;
}

/* Fills the planes with what lies outside the image. */
static void clear(const planes_work *work) {
    const int16_t outside = (int16_t)work->job->input_zero_point;
    uint32_t i;
    for (i = 0u; i < DCC_DEPTHWISE_CHANNELS * work->plane_size; i++) work->planes[i] = outside;
}

static void widen(const planes_work *work, const output_rows *band, uint32_t channel, uint32_t count) {
    const dcc_conv_job *const job = work->job;
    const dcc_axis *const axis = &job->window.y;
    const uint32_t row_bytes = job->input_width * job->input_channels;
    uint32_t row;
    for (row = 0u; row < (band->count - 1u) * (uint32_t)axis->stride + (uint32_t)axis->kernel; row++) {
        const uint32_t at = band->first * (uint32_t)axis->stride + row - (uint32_t)axis->padding; /* huge above */
        int16_t *to = work->planes + row * work->rows.pitch + work->rows.margin;
        const int8_t *x = job->x + at * row_bytes + channel;
        uint32_t left = work->rows.columns;
        if (at >= job->input_height) continue;
#if DCC_DSP
        if (count == DCC_DEPTHWISE_CHANNELS) {
            const uint32_t plane = work->plane_size;
            for (; left >= 2u; left -= 2u, to += 2) {
                const uint32_t first = dcc_word(x);
                const uint32_t second = dcc_word(x + job->input_channels);
                const uint32_t first_even = dcc_sxtb16(first);
                const uint32_t second_even = dcc_sxtb16(second);
                const uint32_t first_odd = dcc_sxtb16_8(first);
                const uint32_t second_odd = dcc_sxtb16_8(second);
                *(uint32_t *)(void *)to = dcc_pkhbt(first_even, second_even);
                *(uint32_t *)(void *)(to + plane) = dcc_pkhbt(first_odd, second_odd);
                *(uint32_t *)(void *)(to + 2u * plane) = dcc_pkhtb(second_even, first_even);
                *(uint32_t *)(void *)(to + 3u * plane) = dcc_pkhtb(second_odd, first_odd);
                x += 2u * job->input_channels;
            }
        }
#endif
        for (; left > 0u; left--, x += job->input_channels, to++) {
            uint32_t i;
            for (i = 0u; i < count; i++) to[i * work->plane_size] = x[i];
        }
    }
}

/* One channel by any window. */
static void run_channel(
    const planes_work *work, const output_rows *band, uint32_t channel, dcc_channel requantise, const int16_t *plane,
    const int16_t *taps) {
    const dcc_conv_job *const job = work->job;
    const size_t band_at = (size_t)band->first * job->output_width * job->output_channels + channel;
    const int16_t *const origin = plane + work->rows.margin - (uint32_t)job->window.x.padding;
    const dcc_depthwise_tile *tile;
    for (tile = work->tiles; tile->x != 0u; tile++) {
        uint32_t i;
        for (i = 0u; i < DCC_DEPTHWISE_OUTPUTS; i++) {
            const int16_t *row = origin + (tile->x - 4u) / 2u + i * (uint32_t)job->window.x.stride;
            const int16_t *tap = taps;
            uint32_t sum = 0u;
            int32_t y;
            if (tile->y[i] == work->outside) continue;
            for (y = 0; y < job->window.y.kernel; y++, row += work->rows.pitch) {
                int32_t x;
                for (x = 0; x < job->window.x.kernel; x++) sum += (uint32_t)(row[x] * *tap++);
            }
            job->y[band_at + tile->y[i]] = dcc_finish(job, &requantise, (int32_t)sum, band_at + tile->y[i]);
        }
    }
}

#if DCC_DSP
/* Which of the assembly's variants does it; -1 if none. */
static int variant_of(const dcc_conv_job *job) {
    const dcc_window *const window = &job->window;
    const int odd = window->x.padding % 2;
    if (window->x.kernel != 3 || window->y.kernel != 3 || job->residual.x != NULL) return -1;
    if (job->scaling.low != -128 || job->scaling.high != 127) return -1;
    if (job->scaling.accumulator_shift > 7u) return -1; /* a shifted weight has 16 bits */
    if (window->x.stride == 2) return odd ? DCC_DEPTHWISE_STRIDE_2_ODD : DCC_DEPTHWISE_STRIDE_2_EVEN;
    return window->x.stride == 1 && odd ? DCC_DEPTHWISE_STRIDE_1_ODD : -1;
}

static void run_fast(
    const planes_work *work, const output_rows *band, uint32_t channel, uint32_t count, dcc_channels *channels,
    int variant) {
    const dcc_conv_job *const job = work->job;
    const uint32_t shift = job->scaling.accumulator_shift;
    dcc_depthwise_channel four[DCC_DEPTHWISE_CHANNELS];
    dcc_depthwise_job run;
    const int16_t *tap = work->taps;
    uint32_t i;
    for (i = 0u; i < count; i++) {
        const dcc_channel requantise = dcc_next_channel(channels);
        uint32_t row;
        four[i].multiplier = requantise.multiplier;
        four[i].bias = requantise.bias;
        for (row = 0u; row < 3u; row++, tap += 3) {
            const uint32_t middle = (uint32_t)tap[1] << shift;
            four[i].weights[row][0] = dcc_pkhbt((uint32_t)tap[0] << shift, middle);
            four[i].weights[row][1] = dcc_pkhbt(middle, (uint32_t)tap[2] << shift);
        }
    }
    run.variant = (uint32_t)variant;
    run.fraction_bits = job->scaling.fraction_bits;
    run.row_bytes = 2u * work->rows.pitch;
    run.y = job->y + (size_t)band->first * job->output_width * job->output_channels + channel;
    run.tiles = work->tiles;
    run.plane = work->planes - 2;
    run.plane_bytes = 2u * work->plane_size;
    run.channels = four;
    run.count = count;
    dcc_depthwise_run(&run);
}
#endif

static void run_band(const planes_work *work, const output_rows *band) {
    const dcc_conv_job *const job = work->job;
    const uint32_t taps = (uint32_t)(job->window.y.kernel * job->window.x.kernel);
    dcc_weights weights = job->weights;
    dcc_channels channels = job->channels;
    uint32_t channel;
    for (channel = 0u; channel < job->input_channels; channel += DCC_DEPTHWISE_CHANNELS) {
        const uint32_t left = job->input_channels - channel;
        const uint32_t count = left < DCC_DEPTHWISE_CHANNELS ? left : DCC_DEPTHWISE_CHANNELS;
        uint32_t i;
        widen(work, band, channel, count);
        dcc_take_weights(&weights, work->taps, count * taps);
#if DCC_DSP
        if (variant_of(job) >= 0) {
            run_fast(work, band, channel, count, &channels, variant_of(job));
            continue;
        }
#endif
        for (i = 0u; i < count; i++) {
            run_channel(
                work, band, channel + i, dcc_next_channel(&channels), work->planes + i * work->plane_size,
                work->taps + i * taps);
        }
    }
}

void dcc_conv_depthwise(const dcc_conv_job *job) {
    const uint32_t taps = (uint32_t)(job->window.y.kernel * job->window.x.kernel);
    planes_work work;
    output_rows band;
    work.job = job;
    work.rows = dcc_depthwise_rows_of(&job->window, job->input_width, job->output_width);
    work.plane_size = (uint32_t)dcc_depthwise_plane(&work.rows, &job->window, job->rows_at_once);
    work.planes = (int16_t *)(void *)job->scratch;
    work.taps = work.planes + DCC_DEPTHWISE_CHANNELS * work.plane_size;
    work.tiles = (dcc_depthwise_tile *)(void *)(work.taps + DCC_DEPTHWISE_CHANNELS * taps);
    work.sink = (uint8_t *)(work.tiles + dcc_depthwise_tiles(&work.rows, job->output_width, job->rows_at_once)) + 4;
    for (band.first = 0u; band.first < job->output_height; band.first += band.count) {
        const uint32_t left = job->output_height - band.first;
        band.count = left < job->rows_at_once ? left : job->rows_at_once;
        list_tiles(&work, &band);
        clear(&work);
        run_band(&work, &band);
    }
}
