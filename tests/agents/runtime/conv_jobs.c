/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs convolution kernels on jobs that were made without an artifact, on this machine or in the emulator, and writes
 * the outputs back to back. Jobs follow each other as struct job, input, residual, channels and weights, each filled up
 * to whole words; conv_jobs.py writes them. A kernel that writes behind its output or scratch ends the program.
 */
#include <stdint.h>
#include <string.h>

#include "conv.h"

void run_job(void (*run)(const dcc_conv_job *), const dcc_conv_job *job);
void job_done(void);

struct job {
    uint32_t kernel;
    uint32_t input_height, input_width, input_channels;
    uint32_t output_height, output_width, output_channels;
    int32_t input_zero_point;
    int32_t kernel_y, kernel_x, stride_y, stride_x, padding_y, padding_x;
    uint32_t groups, filters_at_once, rows_at_once;
    int32_t low, high;
    uint32_t accumulator_shift, fraction_bits;
    uint32_t has_residual, in_place;
    int32_t residual_multipliers[2], residual_offset;
    uint32_t residual_shift;
    int32_t residual_low, residual_high;
    uint32_t encoding, index_bits, gap_bits;
    int32_t weight_zero_point;
    uint32_t weights_bytes, scratch_bytes;
    int32_t over_input; /* bytes from the output to the input, which overlap; -1 if they do not */
};

#if defined(__arm__) && !defined(__linux__)
#define BARE_METAL 1
#include "semihosting.h"
extern uint8_t arena_begin[]; /* from the linker script */
static uint8_t *arena_next;
static void *get(uint32_t bytes) {
    void *found = arena_next;
    arena_next += (bytes + 3u) / 4u * 4u;
    return found;
}
static void restart(void) { arena_next = arena_begin; }
static void release(void *bytes) { (void)bytes; }
static void put(const void *bytes, uint32_t count) { host_write(bytes, count); }
extern const uint8_t inputs[], inputs_end[];
#else
#include <stdio.h>
#include <stdlib.h>
#ifdef __SANITIZE_ADDRESS__
static void *get(uint32_t bytes) { return malloc(bytes); }
static void release(void *bytes) { free(bytes); }
#else
/* Whoever accesses the word behind what was asked for ends the program. */
#include <sys/mman.h>
#define PAGE 65536u /* the largest of Linux on Arm */
static void *get(uint32_t bytes) {
    const uint32_t pages = (bytes + PAGE - 1u) / PAGE * PAGE;
    uint8_t *const found = mmap(NULL, pages + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED || mprotect(found + pages, PAGE, PROT_NONE) != 0) abort();
    return found + pages - (bytes + 3u) / 4u * 4u;
}
static void release(void *bytes) { (void)bytes; }
#endif
static void restart(void) {}
static void put(const void *bytes, uint32_t count) { fwrite(bytes, 1u, count, stdout); }
#endif

#define GUARD 32u
#define GUARD_BYTE 0xa5

/* With bytes behind it that must stay as they are. */
static uint8_t *guarded(uint32_t bytes) {
    uint8_t *found = get(bytes + GUARD);
    memset(found, GUARD_BYTE, bytes + GUARD);
    return found;
}

static int is_whole(const uint8_t *bytes, uint32_t count) {
    uint32_t i;
    for (i = 0u; i < GUARD; i++) {
        if (bytes[count + i] != GUARD_BYTE) return 0;
    }
    return 1;
}

/* What is counted: from the entry of run_job to that of job_done. */
__attribute__((noinline)) void job_done(void) { __asm__ volatile(""); }

__attribute__((noinline)) void run_job(void (*run)(const dcc_conv_job *), const dcc_conv_job *job) {
    run(job);
    job_done();
}

static void (*const kernels[])(const dcc_conv_job *) = {
    dcc_conv_band, dcc_conv_depthwise, dcc_conv_tile, dcc_conv_vector};
static const dcc_encoding *const encodings[] = {NULL, &dcc_encoding_indexed, &dcc_encoding_bitmap, &dcc_encoding_coded};

static uint32_t words(uint32_t bytes) { return (bytes + 3u) / 4u * 4u; }

static const uint8_t *run_one(const uint8_t *at) {
    static dcc_weight_tables tables;
    static dcc_conv_job run;
    struct job job;
    dcc_weight_form form;
    uint32_t x_bytes, y_bytes, written_bytes, count;
    uint8_t *x;
    uint8_t *y, *scratch, *residual = NULL;
    memcpy(&job, at, sizeof job);
    at += sizeof job;
    restart();
    x_bytes = job.input_height * job.input_width * job.input_channels;
    y_bytes = job.output_height * job.output_width * job.output_channels;
    written_bytes = y_bytes;
    if (job.over_input >= 0 && (uint32_t)job.over_input + x_bytes > y_bytes) {
        written_bytes = (uint32_t)job.over_input + x_bytes;
    }
    y = guarded(written_bytes);
    x = job.over_input < 0 ? get(x_bytes) : y + job.over_input;
    memcpy(x, at, x_bytes);
    at += words(x_bytes);
    scratch = guarded(job.scratch_bytes);
    memset(&run, 0, sizeof run);
    if (job.has_residual) {
        residual = job.in_place ? y : get(y_bytes);
        memcpy(residual, at, y_bytes);
        at += words(y_bytes);
    }
    run.x = (const int8_t *)x;
    run.y = (int8_t *)y;
    run.input_height = job.input_height;
    run.input_width = job.input_width;
    run.input_channels = job.input_channels;
    run.output_height = job.output_height;
    run.output_width = job.output_width;
    run.output_channels = job.output_channels;
    run.input_zero_point = job.input_zero_point;
    run.window.y.kernel = job.kernel_y;
    run.window.x.kernel = job.kernel_x;
    run.window.y.stride = job.stride_y;
    run.window.x.stride = job.stride_x;
    run.window.y.padding = job.padding_y;
    run.window.x.padding = job.padding_x;
    run.window.y.dilation = 1;
    run.window.x.dilation = 1;
    run.groups = job.groups;
    run.filters_at_once = job.filters_at_once;
    run.rows_at_once = job.rows_at_once;
    run.weight_zero_point = job.weight_zero_point;
    run.scaling.accumulator_shift = job.accumulator_shift;
    run.scaling.fraction_bits = job.fraction_bits;
    run.scaling.low = job.low;
    run.scaling.high = job.high;
    run.residual.x = (int8_t *)residual;
    run.residual.multiplier = job.residual_multipliers[0];
    run.residual.residual_multiplier = job.residual_multipliers[1];
    run.residual.offset = job.residual_offset;
    run.residual.shift = job.residual_shift;
    run.residual.low = job.residual_low;
    run.residual.high = job.residual_high;
    run.scratch = scratch;
    {
        const dcc_channel_form wide = {0x80u, 0u};
        dcc_open_channels(&run.channels, at, at + 8u * job.output_channels, wide, 0, 0u);
        at += 8u * job.output_channels;
    }
    form.encoding = job.encoding;
    form.index_bits = job.index_bits;
    form.gap_bits = job.gap_bits;
    form.zero_point = job.weight_zero_point;
    count = job.output_channels * (uint32_t)(job.kernel_y * job.kernel_x) * (job.input_channels / job.groups);
    if (job.encoding == DCC_RAW) {
        run.raw = at;
    } else if (!encodings[job.encoding]->open(&run.weights, &form, at, at + job.weights_bytes, count, &tables)) {
        return NULL;
    }
    at += words(job.weights_bytes);
    run_job(kernels[job.kernel], &run);
    if (!is_whole(y, written_bytes) || !is_whole(scratch, job.scratch_bytes)) return NULL;
    put(y, y_bytes);
    if (residual != y) release(residual);
    if (job.over_input < 0) release(x);
    release(y);
    release(scratch);
    return at;
}

#ifdef BARE_METAL
int main(void);
int main(void) {
    const uint8_t *at = inputs;
    while (at != NULL && at < inputs_end) at = run_one(at);
    if (at == NULL) put("refused", 7u);
    return 0;
}
#else
int main(void) {
    static uint8_t all[1u << 24];
    const size_t size = fread(all, 1u, sizeof all, stdin);
    const uint8_t *at = all;
    while (at != NULL && at < all + size) at = run_one(at);
    return at == all + size ? 0 : 1;
}
#endif
