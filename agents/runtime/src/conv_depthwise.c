/* SPDX-License-Identifier: Apache-2.0
 *
 * DEPTHWISE: 4 channels at a time are widened to 16 bits, each into a plane of its own, where 8 neighbouring outputs
 * read neighbouring words.
 */
#include "conv_depthwise.h"
#include "dsp.h"
#include "neon.h"
#if DCC_NEON
#include "conv_depthwise_neon.h"
#elif DCC_DSP
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

typedef struct {
    uint32_t first;   /* row of the image */
    uint32_t count;
    uint32_t skipped; /* of the band's rows, which lie above the image */
    int all;          /* whether the band has no other rows */
} rows_inside;

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
#endif
    for (row = 0u; row < rows; row++) {
        uint32_t position;
        for (position = 0u; position < end; position += DCC_DEPTHWISE_OUTPUTS) {
            add_tile(work, row, position, band, tile++);
        }
    }
    tile->x = 0u;
}

/* Two values of a plane at once: everything else reads them as int16_t. */
#if defined(__GNUC__)
typedef uint32_t __attribute__((may_alias)) two_values;
#else
typedef uint32_t two_values;
#endif

/* Fills the planes with what lies outside the image. */
static void clear(const planes_work *work) {
    const uint32_t outside = (uint16_t)work->job->input_zero_point;
    two_values *word = (two_values *)(void *)work->planes;
    const two_values *const end = (two_values *)(void *)work->taps;
    for (; word < end; word += 4) {
        word[0] = outside << 16 | outside;
        word[1] = outside << 16 | outside;
        word[2] = outside << 16 | outside;
        word[3] = outside << 16 | outside;
    }
}

/* What the image has of a band's rows. */
static rows_inside inside_of(const dcc_conv_job *job, const output_rows *band) {
    const dcc_axis *const axis = &job->window.y;
    const uint32_t padding = (uint32_t)axis->padding;
    const uint32_t origin = band->first * (uint32_t)axis->stride;
    const uint32_t all = (band->count - 1u) * (uint32_t)axis->stride + (uint32_t)axis->kernel;
    const uint32_t beyond = origin + all > padding ? origin + all - padding : 0u;
    rows_inside rows;
    rows.first = origin > padding ? origin - padding : 0u;
    rows.count = beyond < job->input_height ? beyond : job->input_height;
    rows.count = rows.count > rows.first ? rows.count - rows.first : 0u;
    rows.skipped = rows.first + padding - origin;
    rows.all = rows.count == all;
    return rows;
}

/* Of an image that has some of the band's rows. */
static void widen(const planes_work *work, const rows_inside *rows, uint32_t channel, uint32_t count) {
    const dcc_conv_job *const job = work->job;
    const uint32_t row_bytes = job->input_width * job->input_channels;
    const int8_t *image = job->x + (size_t)rows->first * row_bytes + channel;
    int16_t *to = work->planes + rows->skipped * work->rows.pitch + work->rows.margin;
    uint32_t row;
#if DCC_DSP
    if (count == DCC_DEPTHWISE_CHANNELS) {
        dcc_depthwise_image run;
        run.x = image;
        run.channels = job->input_channels;
        run.to = to;
        run.plane_bytes = 2u * work->plane_size;
        run.columns = work->rows.columns;
        run.row_step = row_bytes - work->rows.columns * job->input_channels;
        run.to_step = 2u * (work->rows.pitch - dcc_depthwise_even(work->rows.columns));
        run.rows = rows->count;
        run.outside = (uint8_t)job->input_zero_point * 0x01010101u;
        dcc_depthwise_widen(&run);
        return;
    }
#endif
#if DCC_NEON
    to = work->planes + DCC_DEPTHWISE_CHANNELS * (size_t)(to - work->planes);
    for (row = 0u; row < rows->count; row++, image += row_bytes, to += DCC_DEPTHWISE_CHANNELS * work->rows.pitch) {
        dcc_depthwise_widen_pixels(image, job->input_channels, count, to, work->rows.columns);
    }
#else
    for (row = 0u; row < rows->count; row++, image += row_bytes, to += work->rows.pitch) {
        const int8_t *x = image;
        uint32_t column;
        for (column = 0u; column < work->rows.columns; column++, x += job->input_channels) {
            uint32_t i;
            for (i = 0u; i < count; i++) to[column + i * work->plane_size] = x[i];
        }
    }
#endif
}

#if DCC_NEON
/* Up to 4 channels from `channel` on. */
static void run_channels(
    const planes_work *work, const output_rows *band, uint32_t channel, uint32_t count, const dcc_channel *four) {
    const dcc_conv_job *const job = work->job;
    const dcc_neon_channels channels = dcc_neon_channels_of(four);
    const int16_t *const origin =
        work->planes + DCC_DEPTHWISE_CHANNELS * (work->rows.margin - (uint32_t)job->window.x.padding);
    dcc_depthwise_steps steps;
    size_t y_at = (size_t)band->first * job->output_width * job->output_channels + channel;
    steps.kernel_y = (uint32_t)job->window.y.kernel;
    steps.kernel_x = (uint32_t)job->window.x.kernel;
    steps.row = DCC_DEPTHWISE_CHANNELS * work->rows.pitch;
    steps.stride = DCC_DEPTHWISE_CHANNELS * (size_t)job->window.x.stride;
    if (count == DCC_DEPTHWISE_CHANNELS) {
        dcc_depthwise_tiles_of(
            job, work->tiles, work->outside, &steps, origin, work->taps, &channels, DCC_DEPTHWISE_CHANNELS, y_at);
    } else {
        dcc_depthwise_tiles_of(job, work->tiles, work->outside, &steps, origin, work->taps, &channels, count, y_at);
    }
}
#else
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
#endif

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

static void run_band(const planes_work *work, const output_rows *band, const rows_inside *rows) {
    const dcc_conv_job *const job = work->job;
    const uint32_t taps = (uint32_t)(job->window.y.kernel * job->window.x.kernel);
    dcc_weights weights = job->weights;
    dcc_channels channels = job->channels;
    uint32_t channel;
    for (channel = 0u; channel < job->input_channels; channel += DCC_DEPTHWISE_CHANNELS) {
        const uint32_t left = job->input_channels - channel;
        const uint32_t count = left < DCC_DEPTHWISE_CHANNELS ? left : DCC_DEPTHWISE_CHANNELS;
#if !DCC_NEON
        uint32_t i;
#endif
        if (rows->count > 0u && work->rows.columns > 0u) widen(work, rows, channel, count);
#if DCC_NEON
        dcc_channel four[DCC_DEPTHWISE_CHANNELS] = {{0, 0}};
        dcc_depthwise_taps(&weights, count, taps, work->taps);
        dcc_take_channels(&channels, four, count);
        run_channels(work, band, channel, count, four);
#else
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
#endif
    }
}

void dcc_conv_depthwise(const dcc_conv_job *job) {
    const uint32_t taps = (uint32_t)(job->window.y.kernel * job->window.x.kernel);
    planes_work work;
    output_rows band;
    work.job = job;
    work.rows = dcc_depthwise_rows_of(&job->window, job->input_width, job->output_width);
    work.plane_size = (uint32_t)dcc_depthwise_plane(&work.rows, &job->window, job->rows_at_once);
    work.outside = UINT32_MAX;
    work.planes = (int16_t *)(void *)job->scratch;
    work.taps = work.planes + DCC_DEPTHWISE_CHANNELS * work.plane_size;
    work.tiles = (dcc_depthwise_tile *)(void *)(work.taps + DCC_DEPTHWISE_CHANNELS * taps);
    work.sink = (uint8_t *)(work.tiles + dcc_depthwise_tiles(&work.rows, job->output_width, job->rows_at_once)) + 4;
    for (band.first = 0u; band.first < job->output_height; band.first += band.count) {
        const uint32_t left = job->output_height - band.first;
        const uint32_t before = band.first == 0u ? 0u : band.count;
        rows_inside rows;
        band.count = left < job->rows_at_once ? left : job->rows_at_once;
        rows = inside_of(job, &band);
        /* Most bands need neither: their tiles are those of the band before, and they overwrite all that it wrote. */
        if (band.count != before || job->output_width % DCC_DEPTHWISE_OUTPUTS != 0u) list_tiles(&work, &band);
        if (band.first == 0u || !rows.all) clear(&work);
        run_band(&work, &band, &rows);
    }
}
