/* SPDX-License-Identifier: Apache-2.0
 *
 * BAND: a convolution that takes only the weights that are not 0. A group of filters is decoded into lists of entries;
 * then a band of the input after the other is widened, and each list is walked for 8 output pixels at a time.
 */
#include "conv_band.h"
#include "dsp.h"
#include "neon.h"
#if DCC_NEON
#include "conv_band_neon.h"
#elif DCC_DSP
#include "conv_band_dsp.h"
#endif

typedef struct {
    const dcc_conv_job *job;
    dcc_band band;
    uint32_t *words;        /* the band */
    dcc_channel *channels;  /* of the group's filters */
    uint32_t *starts;       /* of their entries, and the end of the last */
    dcc_band_entry *entries;
} band_work;

/* Output rows that are worked on. */
typedef struct {
    uint32_t first;
    uint32_t count;
} row_range;

static uint32_t pair_of(int32_t low, int32_t high) { return (uint16_t)low | (uint32_t)(uint16_t)high << 16; }

#define CHUNK 64u /* weights decoded at once; a multiple of 4 */

/* Weights in fours of neighbouring channels of one tap, filled up with 0. */
typedef struct {
    dcc_weights weights;
    union {
        int16_t weights[CHUNK];
        uint32_t words[CHUNK / 2u];
    } chunk;
    const uint32_t *words; /* two for the next four */
    const uint32_t *end;
} band_fours;

/* Decodes up to `count` weights: all that follow for whole fours of channels, else those of one tap. */
static void decode_fours(band_fours *fours, uint32_t count) {
    const uint32_t taken = count < CHUNK ? count : CHUNK;
    uint32_t i;
    dcc_take_weights(&fours->weights, fours->chunk.weights, taken);
    for (i = taken; i % 4u != 0u; i++) fours->chunk.weights[i] = 0;
    fours->words = fours->chunk.words;
    fours->end = fours->chunk.words + i / 2u;
}

#if !DCC_DSP
static void list_pair(dcc_band_list *list, uint32_t weights, int32_t at) {
    if (weights == 0u) return;
    list->next->weights = weights;
    list->next->delta = at - list->before;
    list->next++;
    list->before = at + (int32_t)(4u * DCC_BAND_PIXELS);
}
#endif

/* Appends the entries of the next fours, the first of which lies `at` bytes from a tile's origin. */
static void list_fours(band_fours *fours, uint32_t count, dcc_band_list *list, int32_t at, int32_t pair_bytes) {
    const uint32_t *const end = fours->words + 2u * count;
#if DCC_DSP
    dcc_band_list_fours(fours->words, end, list, at, pair_bytes);
#else
    const int16_t *four = fours->chunk.weights + 2 * (fours->words - fours->chunk.words);
    for (; count > 0u; count--, four += 4, at += 2 * pair_bytes) {
        list_pair(list, pair_of(four[0], four[2]), at);
        list_pair(list, pair_of(four[1], four[3]), at + pair_bytes);
    }
#endif
    fours->words = end;
}

/* Appends the entries of one filter. */
static void list_filter(const band_work *work, band_fours *fours, dcc_band_list *list) {
    const dcc_window *const window = &work->job->window;
    const uint32_t channels = work->job->input_channels;
    const uint32_t pitch = work->band.pitch;
    const int32_t pair_bytes = (int32_t)(4u * work->band.phases * pitch);
    uint32_t undecoded = (uint32_t)(window->y.kernel * window->x.kernel) * channels;
    uint32_t row = 0u; /* in words, as is all that follows */
    int32_t y;
    list->before = 0;
    for (y = 0; y < window->y.kernel; y++, row += dcc_band_row_words(&work->band)) {
        uint32_t column = row;
        int32_t phase = 0;
        int32_t x;
        for (x = 0; x < window->x.kernel; x++) {
            uint32_t at = column + (uint32_t)phase * pitch;
            uint32_t left = channels;
            while (left > 0u) {
                uint32_t now;
                if (fours->words == fours->end) {
                    const uint32_t wanted = channels % 4u == 0u ? undecoded : left;
                    decode_fours(fours, wanted);
                    undecoded -= wanted < CHUNK ? wanted : CHUNK;
                }
                now = 2u * (uint32_t)(fours->end - fours->words);
                if (now > left) now = left;
                list_fours(fours, (now + 3u) / 4u, list, (int32_t)(4u * at), pair_bytes);
                at += now / 2u * work->band.phases * pitch;
                left -= now;
            }
            phase++;
            if (phase == window->x.stride) {
                phase = 0;
                column++;
            }
        }
    }
}

static void list_group(band_work *work, uint32_t filters, band_fours *fours, dcc_channels *channels) {
    dcc_band_list list;
    uint32_t filter;
    list.next = work->entries;
    dcc_take_channels(channels, work->channels, filters);
    for (filter = 0u; filter < filters; filter++) {
        work->starts[filter] = (uint32_t)(list.next - work->entries);
        list_filter(work, fours, &list);
    }
    work->starts[filters] = (uint32_t)(list.next - work->entries);
}

/* An even number of words. */
static void fill(uint32_t *words, uint32_t count, uint32_t word) {
    uint32_t *const end = words + count;
    for (; words < end; words += 2) {
        words[0] = word;
        words[1] = word;
    }
}

/* Widens `count` pixels, `step` bytes apart, into the first word of each pair's row on. */
static void widen_pixels(const band_work *work, const int8_t *x, uint32_t step, uint32_t *to, uint32_t count) {
    const uint32_t next = work->band.phases * work->band.pitch;
    const uint32_t channels = work->job->input_channels;
    for (; count > 0u; count--, x += step, to++) {
        uint32_t *word = to;
        uint32_t left = channels;
        const int8_t *four = x;
        for (; left >= 4u; left -= 4u, four += 4) {
            word[0] = pair_of(four[0], four[2]);
            word[next] = pair_of(four[1], four[3]);
            word += 2u * next;
        }
        if (left > 0u) {
            word[0] = pair_of(four[0], left > 2u ? four[2] : 0);
            word[next] = pair_of(left > 1u ? four[1] : 0, 0);
        }
    }
}

/* Widens one image row, or some that are joined, of so many pixels; what lies left and right is there already. */
static void widen_row(const band_work *work, const int8_t *image, uint32_t width, uint32_t *to) {
    const dcc_conv_job *const job = work->job;
    const uint32_t stride = (uint32_t)job->window.x.stride;
    const uint32_t padding = (uint32_t)job->window.x.padding;
    const uint32_t pitch = work->band.pitch;
    const uint32_t step = stride * job->input_channels;
#if DCC_DSP || DCC_NEON
    /* So many last pixels are not read as words, which might lie partly behind the image. */
    const uint32_t behind = ((0u - job->input_channels) % 4u + step - 1u) / step;
#endif
    uint32_t phase;
    for (phase = 0u; phase < work->band.phases; phase++, to += pitch) {
        uint32_t begin = phase < padding ? (padding - phase + stride - 1u) / stride : 0u;
        uint32_t end = phase < padding + width ? (padding + width - phase + stride - 1u) / stride : 0u;
        if (end > pitch) end = pitch;
        if (begin < end) {
            const int8_t *x = image + (begin * stride + phase - padding) * job->input_channels;
#if DCC_DSP
            const uint32_t safe = end - begin > behind ? end - begin - behind : 0u;
            if (safe >= 4u) {
                dcc_band_widen_fours(
                    x, step, to + begin, 4u * work->band.phases * pitch, safe / 4u, work->band.pairs / 2u);
                x += (safe & ~3u) * step;
                begin += safe & ~3u;
            }
#endif
#if DCC_NEON
            for (; begin + 4u + behind <= end; begin += 4u, x += 4u * step) {
                const uint32_t next = work->band.phases * pitch;
                uint32_t pair;
                for (pair = 0u; pair < work->band.pairs; pair += 2u) {
                    dcc_band_widen_four(x + 2u * pair, step, to + begin + next * pair, next);
                }
            }
#endif
            widen_pixels(work, x, step, to + begin, end - begin);
        }
    }
}

static void widen_band(const band_work *work, row_range output) {
    const dcc_conv_job *const job = work->job;
    const dcc_axis *const y = &job->window.y;
    const uint32_t row_bytes = job->input_width * job->input_channels;
    const uint32_t row_words = dcc_band_row_words(&work->band);
    uint32_t *to = work->words;
    uint32_t row;
    if (work->band.point) {
        widen_row(work, job->x + output.first * row_bytes, output.count * job->input_width, to);
        return;
    }
    for (row = 0u; row < (output.count - 1u) * (uint32_t)y->stride + (uint32_t)y->kernel; row++, to += row_words) {
        const uint32_t at = output.first * (uint32_t)y->stride + row - (uint32_t)y->padding; /* huge above the image */
        if (at < job->input_height) {
            widen_row(work, job->x + at * row_bytes, job->input_width, to);
        } else {
            fill(to, row_words, pair_of(job->input_zero_point, job->input_zero_point));
        }
    }
}

/* Of a filter of the group: at least one entry. */
static void find_entries(
    const band_work *work, uint32_t index, const dcc_band_entry **begin, const dcc_band_entry **end) {
    static const dcc_band_entry nothing = {0u, 0};
    *begin = work->entries + work->starts[index];
    *end = work->entries + work->starts[index + 1u];
    if (*begin == *end) {
        *begin = &nothing;
        *end = &nothing + 1;
    }
}

/* How a band's output is walked through. */
typedef struct {
    row_range output;
    uint32_t width; /* pixels of a row; of all rows where they are one */
    uint32_t height;
    uint32_t step; /* words from the origin of a row to the next */
    uint32_t done; /* pixels of each row that run_fast takes care of */
#if DCC_DSP
    dcc_band_tiles whole; /* tiles, side by side; what depends on the filter is missing */
    dcc_band_tiles last;  /* a tile that overlaps the one before; done by itself if it has no rows */
#endif
} band_walk;

/* The pixels from walk->done on of each row, by tiles of which the last of a row ends with it where it can. */
static void run_pixels(const band_work *work, const band_walk *walk, uint32_t filter, uint32_t index) {
    const dcc_conv_job *const job = work->job;
    const uint32_t *origin = work->words;
    size_t row_at = (size_t)walk->output.first * job->output_width;
    const dcc_band_entry *entries;
    const dcc_band_entry *end;
#if DCC_NEON
    const dcc_neon_finish finish = dcc_neon_finish_of(job);
#endif
    uint32_t row;
    find_entries(work, index, &entries, &end);
    for (row = 0u; row < walk->height; row++, origin += walk->step, row_at += walk->width) {
        uint32_t x = walk->done;
        while (x < walk->width) {
            const int ends = x + DCC_BAND_PIXELS > walk->width && walk->width >= DCC_BAND_PIXELS;
            const uint32_t first = ends ? walk->width - DCC_BAND_PIXELS : x;
#if DCC_NEON
            int32x4_t sums[2];
            dcc_band_tile_sums(entries, end, origin + first, sums);
            dcc_band_finish(
                job, &finish, work->channels[index], sums, (row_at + first) * job->output_channels + filter, x - first,
                walk->width - x);
            x = first + DCC_BAND_PIXELS;
#else
            int32_t sums[DCC_BAND_PIXELS];
            uint32_t i;
#if DCC_DSP
            dcc_band_tiles tile;
            tile.entries = entries;
            tile.end = end;
            tile.origin = origin + first;
            tile.accumulator_shift = DCC_BAND_SUMS;
            tile.y = sums;
            dcc_band_run(&tile);
#else
            dcc_band_sums(entries, end, origin + first, sums);
#endif
            for (i = x - first; i < DCC_BAND_PIXELS && x < walk->width; i++, x++) {
                const size_t at = (row_at + x) * job->output_channels + filter;
                job->y[at] = dcc_finish(job, &work->channels[index], sums[i], at);
            }
#endif
        }
    }
}

static band_walk walk_of(const band_work *work, row_range output) {
    const dcc_conv_job *const job = work->job;
    band_walk walk;
    walk.output = output;
    walk.width = work->band.point ? output.count * job->output_width : job->output_width;
    walk.height = work->band.point ? 1u : output.count;
    walk.step = (uint32_t)job->window.y.stride * dcc_band_row_words(&work->band);
    walk.done = 0u;
    return walk;
}

#if DCC_DSP
static int is_int8(int32_t low, int32_t high) { return low == -128 && high == 127; }

/* Finds which tiles of each row the assembly can finish, and describes them for the filter. */
static void plan_fast(const band_work *work, uint32_t filter, band_walk *walk) {
    const dcc_conv_job *const job = work->job;
    const dcc_residual *const residual = &job->residual;
    dcc_band_tiles *const whole = &walk->whole;
    dcc_band_tiles *const last = &walk->last;
    const uint32_t rest = walk->width % DCC_BAND_PIXELS;
    const uint32_t done = walk->width - rest;
    if (!is_int8(job->scaling.low, job->scaling.high) || done == 0u) return;
    if (residual->x != NULL && !is_int8(residual->low, residual->high)) return;
    walk->done = done;
    whole->origin = work->words;
    whole->fraction_bits = job->scaling.fraction_bits;
    whole->accumulator_shift = job->scaling.accumulator_shift;
    whole->y = job->y + (size_t)walk->output.first * job->output_width * job->output_channels + filter;
    whole->channels = job->output_channels;
    whole->tiles = done / DCC_BAND_PIXELS;
    whole->tiles_left = whole->tiles;
    whole->rows = walk->height;
    whole->origin_step = 4u * (walk->step - done);
    whole->y_step = rest * job->output_channels;
    whole->has_residual = residual->x != NULL;
    whole->residual_at = (uint32_t)residual->x - (uint32_t)job->y;
    whole->residual_multipliers = pair_of(residual->multiplier, residual->residual_multiplier);
    whole->residual_offset = residual->offset;
    whole->residual_shift = residual->shift;
    last->rows = 0u;
    if (rest > 0u && residual->x == NULL) { /* with a residual in place, no pixel may be finished twice */
        const uint32_t before = walk->width - DCC_BAND_PIXELS;
        *last = *whole;
        last->origin += before;
        last->y = (int8_t *)whole->y + before * job->output_channels;
        last->tiles = 1u;
        last->tiles_left = 1u;
        last->origin_step = 4u * (walk->step - DCC_BAND_PIXELS);
        last->y_step = before * job->output_channels;
        walk->done = walk->width;
    }
}

static void run_tiles(const band_work *work, dcc_band_tiles *tiles, uint32_t index) {
    find_entries(work, index, &tiles->entries, &tiles->end);
    tiles->multiplier = work->channels[index].multiplier;
    tiles->bias = work->channels[index].bias;
    dcc_band_run(tiles);
    tiles->y = (int8_t *)tiles->y + 1; /* the next filter's */
}
#endif

void dcc_conv_band(const dcc_conv_job *job) {
    dcc_channels channels = job->channels;
    band_fours weights;
    band_work work;
    uint32_t band_words;
    uint32_t first;
    weights.weights = job->weights;
    weights.words = weights.end = weights.chunk.words;
    work.job = job;
    work.band = dcc_band_of(
        &job->window, job->input_channels,
        job->input_height == job->output_height && job->input_width == job->output_width, job->output_width,
        job->rows_at_once);
    band_words = work.band.rows * dcc_band_row_words(&work.band);
    work.words = (uint32_t *)(void *)job->scratch;
    work.channels = (dcc_channel *)(void *)(work.words + band_words);
    work.starts = (uint32_t *)(void *)(work.channels + job->filters_at_once);
    work.entries = (dcc_band_entry *)(void *)(work.starts + job->filters_at_once + 1u);
    fill(work.words, band_words, pair_of(job->input_zero_point, job->input_zero_point));
    for (first = 0u; first < job->output_channels; first += job->filters_at_once) {
        const uint32_t left = job->output_channels - first;
        const uint32_t filters = left < job->filters_at_once ? left : job->filters_at_once;
        row_range output;
        list_group(&work, filters, &weights, &channels);
        for (output.first = 0u; output.first < job->output_height; output.first += output.count) {
            const uint32_t below = job->output_height - output.first;
            band_walk walk;
            uint32_t i;
            output.count = below < job->rows_at_once ? below : job->rows_at_once;
            /* A band that holds everything needs no second widening. */
            if (first == 0u || output.count < job->output_height) {
                widen_band(&work, output);
            }
            walk = walk_of(&work, output);
#if DCC_DSP
            plan_fast(&work, first, &walk);
            for (i = 0u; i < filters && walk.done > 0u; i++) {
                run_tiles(&work, &walk.whole, i);
                if (walk.last.rows > 0u) run_tiles(&work, &walk.last, i);
            }
#endif
            if (walk.done == walk.width) continue;
            for (i = 0u; i < filters; i++) run_pixels(&work, &walk, first + i, i);
        }
    }
}
