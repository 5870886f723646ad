/* SPDX-License-Identifier: Apache-2.0
 *
 * A TCG plugin for QEMU that counts what a program executes from one address to another, the first time round:
 *
 *   -plugin block_counter.so,begin=ADDRESS,end=ADDRESS,out=FILE
 *
 * Each line of FILE is a block, instructions that always execute one after the other:
 *
 *   BEGIN END INSTRUCTIONS EXECUTIONS DEPARTURES ARRIVALS MISALIGNED
 *
 * BEGIN and END (behind the last instruction) are addresses, in hexadecimal. DEPARTURES: how often something else than
 * the instruction at END came next: taken branches. ARRIVALS: how often the block was come to by one. MISALIGNED: the
 * extra cycles that an Armv7-M core takes for its misaligned accesses (Arm DDI 0439D, 3.3.2). The instruction at `end`
 * is not counted. FILE is written when `end` is reached, and only then. Both addresses must be where branches or calls
 * lead, since QEMU's blocks begin there; else the plugin ends QEMU. One processor, and no -icount, which breaks blocks
 * off.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu_plugin.h"

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;
QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv);

typedef struct block {
    struct block *next;
    uint64_t begin;
    uint64_t end;
    size_t instructions;
    bool hides_begin; /* the address lies in the block, but not at its beginning */
    bool hides_end;
    uint64_t executions;
    uint64_t departures;
    uint64_t arrivals;
    uint64_t misaligned;
} block;

static uint64_t begin_at;
static uint64_t end_at;
static const char *out;
static block *blocks;
static block *previous; /* the block counted last */
static enum { BEFORE, COUNTING, DONE } state = BEFORE;

static void fail(const char *what) {
    fprintf(stderr, "block_counter: %s\n", what);
    _Exit(1);
}

static void write_counts(void) {
    FILE *file = fopen(out, "w");
    if (file == NULL) fail("the file named by out= cannot be written");
    for (const block *b = blocks; b != NULL; b = b->next) {
        if (b->executions == 0) continue;
        fprintf(
            file, "%" PRIx64 " %" PRIx64 " %zu %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", b->begin, b->end,
            b->instructions, b->executions, b->departures, b->arrivals, b->misaligned);
    }
    if (fclose(file) != 0) fail("the file named by out= cannot be written");
}

static void on_execution(unsigned int vcpu_index, void *userdata) {
    block *const now = userdata;
    (void)vcpu_index;
    if (state == DONE) return;
    if (state == BEFORE) {
        if (now->hides_begin) fail("no branch leads to begin=, so it is hidden in a block");
        if (now->begin != begin_at) return;
        state = COUNTING;
    } else if (previous->end != now->begin) {
        previous->departures++;
        now->arrivals++;
    }
    if (now->begin == end_at) {
        state = DONE;
        write_counts();
        return;
    }
    if (now->hides_end) fail("no branch leads to end=, so it is hidden in a block");
    now->executions++;
    previous = now;
}

/* A byte, a halfword and a byte for a word at an odd address; two halves for what is half as much out of line. */
static void on_access(unsigned int vcpu_index, qemu_plugin_meminfo_t info, uint64_t address, void *userdata) {
    const unsigned int shift = qemu_plugin_mem_size_shift(info);
    (void)vcpu_index;
    if (state != COUNTING || shift == 0) return;
    if (address % 2 != 0) {
        ((block *)userdata)->misaligned += shift == 1 ? 1 : 2;
    } else if (shift > 1 && address % 4 != 0) {
        ((block *)userdata)->misaligned += 1;
    }
}

/* Of a Thumb instruction, in bytes. qemu_plugin_insn_size is too large for one behind which QEMU has looked whether the
 * next one crosses a page. */
static unsigned size_of(const struct qemu_plugin_insn *insn) {
    const uint8_t *const bytes = qemu_plugin_insn_data(insn);
    return bytes[1] >> 3 >= 0x1d ? 4 : 2;
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
    block *const new = calloc(1, sizeof *new);
    (void)id;
    if (new == NULL) fail("out of memory");
    new->instructions = qemu_plugin_tb_n_insns(tb);
    for (size_t i = 0; i < new->instructions; i++) {
        struct qemu_plugin_insn *const insn = qemu_plugin_tb_get_insn(tb, i);
        const uint64_t address = qemu_plugin_insn_vaddr(insn);
        if (i == 0) {
            new->begin = address;
        } else {
            new->hides_begin |= address == begin_at;
            new->hides_end |= address == end_at;
        }
        new->end = address + size_of(insn);
        qemu_plugin_register_vcpu_mem_cb(insn, on_access, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW, new);
    }
    new->next = blocks;
    blocks = new;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_execution, QEMU_PLUGIN_CB_NO_REGS, new);
}

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "begin=", 6) == 0) begin_at = strtoull(argv[i] + 6, NULL, 0);
        if (strncmp(argv[i], "end=", 4) == 0) end_at = strtoull(argv[i] + 4, NULL, 0);
        if (strncmp(argv[i], "out=", 4) == 0) out = strdup(argv[i] + 4);
    }
    if (out == NULL || begin_at == end_at) {
        fprintf(stderr, "block_counter: needs begin=ADDRESS, another end=ADDRESS, and out=FILE\n");
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    return 0;
}
