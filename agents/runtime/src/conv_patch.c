/* SPDX-License-Identifier: Apache-2.0
 *
 * See conv_patch.h.
 */
#include "conv_patch.h"

#include "windows.h"

#if DCC_NEON
#include "conv_patch_neon.h"
#elif DCC_DSP
#include "conv_patch_dsp.h"
#else
#include "conv_patch_plain.h"
#endif

static uint32_t taps_before(int32_t distance, int32_t kernel) {
    if (distance <= 0) return 0u;
    return (uint32_t)(distance < kernel ? distance : kernel);
}

#if !DCC_NEON
/* One kernel row of a pixel. Its inputs lie from `from` on, which counts only from `first` to `end`; the others are
 * `zero`. Gives `sum` + their sum. */
static int32_t put_clipped(
    uint32_t *group, uint32_t pixel, const dcc_filler *filler, uint32_t from, uint32_t first, uint32_t end, int32_t sum) {
    const int32_t zero = filler->job->input_zero_point;
    const int8_t *const image = filler->job->x;
    const uint32_t bytes = filler->row_bytes;
    uint32_t at = 0u;
    while (at < bytes) {
        const uint32_t border = at < first ? first : bytes;
        uint32_t groups = 1u;
        if (at >= first && at + 4u <= end) {
            groups = (end - at) / 4u;
            sum = dcc_patch_copy(group, pixel, image + (from + at), groups, sum);
        } else if ((at < first || at >= end) && at + 4u <= border) {
            groups = (border - at) / 4u;
            dcc_patch_fill(group, pixel, zero, groups);
            sum += 4 * zero * (int32_t)groups;
        } else {
            uint32_t i;
            for (i = 0u; i < 4u; i++) {
                int32_t value = at + i < bytes ? zero : 0;
                if (at + i >= first && at + i < end) value = image[from + at + i];
                dcc_patch_put(group, pixel, i, value);
                sum += value;
            }
        }
        group += DCC_GROUP_WORDS * groups;
        at += 4u * groups;
    }
    return sum;
}

static inline void put_start(const dcc_filler *filler, uint32_t pixel, int32_t sum) {
    const int32_t zero_point = filler->job->weight_zero_point;
    dcc_patch_start(&filler->patch, pixel, (uint32_t)(-zero_point * sum), (uint32_t)((128 - zero_point) * sum));
}

static void put_pixel(const dcc_filler *filler, uint32_t pixel) {
    const dcc_conv_job *const job = filler->job;
    const int32_t kernel_x = job->window.x.kernel;
    const uint32_t bytes = filler->row_bytes;
    const uint32_t first = taps_before(-filler->across, kernel_x) * job->input_channels;
    const uint32_t end = taps_before(filler->input_width - filler->across, kernel_x) * job->input_channels;
    uint32_t *group = filler->patch.words + DCC_PATCH_START;
    uint32_t from = filler->from;
    int32_t sum = 0;
    int32_t row;
    for (row = filler->line; row < filler->line + job->window.y.kernel; row++) {
        if (row < 0 || row >= filler->input_height) {
            sum = put_clipped(group, pixel, filler, from, bytes, bytes, sum);
        } else {
            sum = put_clipped(group, pixel, filler, from, first, end, sum);
        }
        from += filler->line_bytes;
        group += (bytes + 3u) / 4u * DCC_GROUP_WORDS;
    }
    put_start(filler, pixel, sum);
}

/* Whether the taps of the next so many pixels lie inside, but for rows above and below, and the pixels in one row. */
static int is_inner(const dcc_filler *filler, uint32_t pixels) {
    const dcc_axis *const x = &filler->job->window.x;
    const int32_t last = filler->across + (int32_t)(pixels - 1u) * x->stride;
    return filler->column + pixels <= filler->output_width && filler->across >= 0 &&
           last + x->kernel <= filler->input_width;
}

#if DCC_DSP
/* The kernel rows of the next pixels that lie inside the image: from `first` to before `end`. */
typedef struct {
    uint32_t first;
    uint32_t end;
} rows_inside;

static rows_inside rows_of(const dcc_filler *filler) {
    const int32_t kernel_y = filler->job->window.y.kernel;
    rows_inside rows;
    rows.first = taps_before(-filler->line, kernel_y);
    rows.end = taps_before(filler->input_height - filler->line, kernel_y);
    return rows;
}

/* Kernel rows of all pixels that lie outside. */
static void put_outside(const dcc_filler *filler, uint32_t first, uint32_t end) {
    const uint32_t pair = ((uint32_t)filler->job->input_zero_point & 0xffffu) * DCC_ONES;
    const uint32_t row_words = filler->row_bytes / 4u * DCC_GROUP_WORDS;
    uint32_t *word = filler->patch.words + DCC_PATCH_START + row_words * first;
    uint32_t *const stop = word + row_words * (end - first);
    for (; word != stop; word += 4) {
        word[0] = pair;
        word[1] = pair;
        word[2] = pair;
        word[3] = pair;
    }
}

/* Inner pixels as those of the patch from `first` on, if this is not beyond what dcc_patch_inner does. Whole tiles may
 * have rows above and below the image. */
static int put_inner(dcc_filler *filler, uint32_t first, uint32_t pixels) {
    const dcc_conv_job *const job = filler->job;
    const uint32_t kernel_y = (uint32_t)job->window.y.kernel;
    const rows_inside rows = rows_of(filler);
    dcc_inner *const inner = &filler->inner;
    if (inner->row_bytes == 0u || rows.first >= rows.end) return 0;
    inner->rows = rows.end - rows.first;
    inner->rows_at = 4u * DCC_PATCH_START;
    inner->sum = 0;
    inner->from = job->x + filler->from + filler->line_bytes * rows.first;
    inner->to = filler->patch.words + first;
    inner->end = inner->to + pixels;
    if (inner->rows != kernel_y) {
        if (first != 0u || inner->last_shift != 0u) return 0;
        put_outside(filler, 0u, rows.first);
        put_outside(filler, rows.end, kernel_y);
        inner->rows_at += inner->row_bytes / 4u * 4u * DCC_GROUP_WORDS * rows.first;
        inner->sum = job->input_zero_point * (int32_t)(inner->row_bytes * (kernel_y - inner->rows));
    }
    dcc_patch_inner(inner);
    return 1;
}

/* A column that one pixel of 4 sees by one tap lies beside the image. Gives the sum of its inputs. */
static int32_t put_beside(const dcc_filler *filler, const dcc_columns *columns, uint32_t tap, uint32_t pixel) {
    const int32_t zero = filler->job->input_zero_point;
    const uint32_t groups = columns->channels / 4u;
    uint32_t *group = columns->to + DCC_GROUP_WORDS * groups * tap;
    uint32_t i;
    for (i = 0u; i < columns->rows; i++) {
        dcc_patch_fill(group, pixel, zero, groups);
        group += DCC_GROUP_WORDS * groups * (uint32_t)DCC_SHARED_KERNEL;
    }
    return zero * (int32_t)(columns->channels * columns->rows);
}

/* 4 pixels that share their columns of the image. A column beside it is first read like the others, which gives an end
 * of the row above or below, unless this would lie beyond the whole image, and put right then. */
static int put_shared(dcc_filler *filler) {
    const dcc_conv_job *const job = filler->job;
    const uint32_t channels = job->input_channels;
    const uint32_t image_bytes = job->input_height * filler->line_bytes;
    const uint32_t row_words = filler->row_bytes / 4u * DCC_GROUP_WORDS;
    const int32_t after = filler->across + (int32_t)DCC_SHARED_COLUMNS - filler->input_width;
    const rows_inside inside = rows_of(filler);
    const uint32_t rows = inside.end - inside.first;
    const uint32_t from = filler->from + filler->line_bytes * inside.first;
    const uint32_t bytes = (rows - 1u) * filler->line_bytes + DCC_SHARED_COLUMNS * channels;
    int32_t sums[DCC_SHARED_COLUMNS];
    int32_t outside;
    dcc_columns columns;
    uint32_t i;
    if (filler->shared == 0 || filler->column + DCC_TILE_PIXELS > filler->output_width) return 0;
    if (filler->across < -1 || after > 1 || inside.first >= inside.end) return 0;
    if (bytes > image_bytes || from > image_bytes - bytes) return 0;
    put_outside(filler, 0u, inside.first);
    put_outside(filler, inside.end, (uint32_t)job->window.y.kernel);
    columns.from = job->x + from;
    columns.channels = channels;
    columns.to = filler->patch.words + DCC_PATCH_START + row_words * inside.first;
    columns.rows = rows;
    columns.gap = filler->line_bytes - channels;
    columns.sums = sums;
    dcc_patch_columns(&columns);
    if (filler->across < 0) sums[0] = put_beside(filler, &columns, 0u, 0u);
    if (after > 0) sums[5] = put_beside(filler, &columns, 2u, 3u);
    outside = job->input_zero_point * (int32_t)(filler->row_bytes * ((uint32_t)job->window.y.kernel - rows));
    for (i = 0u; i < DCC_TILE_PIXELS; i++) {
        put_start(filler, i, outside + sums[i] + sums[i + 1u] + sums[i + 2u]);
    }
    return 1;
}
#else
static int put_inner(dcc_filler *filler, uint32_t first, uint32_t pixels) {
    (void)filler;
    (void)first;
    (void)pixels;
    return 0;
}
#endif
#endif

/* To the pixel so many columns further on; its row may end there, but not before. */
static void advance(dcc_filler *filler, uint32_t columns) {
    const dcc_window *const window = &filler->job->window;
    filler->column += columns;
    filler->across += (int32_t)columns * window->x.stride;
    if (filler->column == filler->output_width) {
        filler->column = 0u;
        filler->across = -window->x.padding;
        filler->line += window->y.stride;
    }
    filler->from = (uint32_t)filler->line * filler->line_bytes + (uint32_t)filler->across * filler->job->input_channels;
}

#if DCC_NEON
void dcc_fill_next(dcc_filler *filler, uint32_t pixels) {
    const uint32_t channels = filler->job->input_channels;
    const int32_t kernel_x = filler->job->window.x.kernel;
    dcc_sight sights[DCC_TILE_PIXELS] = {{0u, 0u, 0u, 0}};
    uint32_t pixel;
    for (pixel = 0u; pixel < pixels; pixel++) {
        sights[pixel].from = filler->from;
        sights[pixel].begin = taps_before(-filler->across, kernel_x) * channels;
        sights[pixel].end = taps_before(filler->input_width - filler->across, kernel_x) * channels;
        sights[pixel].line = filler->line;
        advance(filler, 1u);
    }
    for (; pixel < DCC_TILE_PIXELS; pixel++) sights[pixel] = sights[0];
    dcc_patch_gather(filler, sights);
}
#else
void dcc_fill_next(dcc_filler *filler, uint32_t pixels) {
    uint32_t pixel;
#if DCC_DSP
    if (pixels == DCC_TILE_PIXELS && put_shared(filler)) {
        advance(filler, pixels);
        return;
    }
#endif
    if (is_inner(filler, pixels) && put_inner(filler, 0u, pixels)) {
        advance(filler, pixels);
        return;
    }
    for (pixel = 0u; pixel < pixels; pixel++) {
        if (!is_inner(filler, 1u) || !put_inner(filler, pixel, 1u)) put_pixel(filler, pixel);
        advance(filler, 1u);
    }
}
#endif

void dcc_fill_from_start(dcc_filler *filler) {
    filler->column = 0u;
    filler->across = -filler->job->window.x.padding;
    filler->line = -filler->job->window.y.padding;
    advance(filler, 0u);
}

dcc_filler dcc_filler_of(const dcc_conv_job *job, uint32_t *words) {
    const dcc_axis *const y = &job->window.y;
    const dcc_axis *const x = &job->window.x;
    dcc_filler filler;
    filler.job = job;
    filler.row_bytes = (uint32_t)x->kernel * job->input_channels;
    filler.line_bytes = job->input_width * job->input_channels;
    filler.step = (uint32_t)x->stride * job->input_channels;
    filler.patch.words = words;
    filler.patch.inputs = (uint32_t)y->kernel * dcc_round_up(filler.row_bytes, 4u);
    filler.input_height = (int32_t)job->input_height;
    filler.input_width = (int32_t)job->input_width;
    filler.output_width = job->output_width;
    if (dcc_is_point(&job->window) && job->output_height == job->input_height &&
        job->output_width == job->input_width) {
        filler.output_width *= job->output_height;
        filler.input_width = (int32_t)filler.output_width;
        filler.input_height = 1;
    }
#if DCC_DSP
    {
        const uint32_t last = filler.row_bytes % 4u;
        const uint32_t zero_point = (uint32_t)job->weight_zero_point;
        dcc_inner *const inner = &filler.inner;
        filler.shared = x->kernel == DCC_SHARED_KERNEL && x->stride == 1 && job->input_channels % 4u == 0u;
        inner->row_bytes = filler.row_bytes - last;
        inner->skipped = (0u - inner->row_bytes / 4u) % DCC_COPY_ROUND * DCC_COPY_BYTES;
        inner->gap = filler.line_bytes - inner->row_bytes;
        inner->rows = (uint32_t)y->kernel;
        inner->step = filler.step;
        inner->even = 0u - zero_point;
        inner->both = ((128u - zero_point) << 8) - zero_point;
        inner->last_shift = last == 0u ? 0u : 32u - 8u * last;
        inner->last_at = (int32_t)last - 4;
    }
#endif
    dcc_fill_from_start(&filler);
    return filler;
}
