/* SPDX-License-Identifier: Apache-2.0
 *
 * A TCG plugin for QEMU's user-mode emulation of AArch64 that writes, as a process ends, how many instructions it
 * executed between its last two calls of getppid:
 *
 *   -plugin instruction_total.so,out=FILE
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../kernels/plugin/qemu_plugin.h"

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;
QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv);

#define GETPPID 173

static uint64_t total;
static uint64_t marks[2];
static const char *out;

static void on_execution(unsigned int vcpu_index, void *instructions) {
    (void)vcpu_index;
    __atomic_fetch_add(&total, (uint64_t)(uintptr_t)instructions, __ATOMIC_RELAXED);
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
    void *const instructions = (void *)(uintptr_t)qemu_plugin_tb_n_insns(tb);
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_execution, QEMU_PLUGIN_CB_NO_REGS, instructions);
}

static void on_system_call(
    qemu_plugin_id_t id, unsigned int vcpu_index, int64_t num, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,
    uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
    (void)id, (void)vcpu_index, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (num != GETPPID) return;
    marks[0] = marks[1];
    marks[1] = total;
}

static void write_total(qemu_plugin_id_t id, void *userdata) {
    FILE *const file = fopen(out, "w");
    (void)id;
    (void)userdata;
    if (file == NULL) return;
    fprintf(file, "%" PRIu64 "\n", marks[1] - marks[0]);
    fclose(file);
}

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
    (void)info;
    if (argc != 1 || strncmp(argv[0], "out=", 4) != 0) {
        fprintf(stderr, "instruction_total: needs out=FILE\n");
        return -1;
    }
    out = strdup(argv[0] + 4);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_vcpu_syscall_cb(id, on_system_call);
    qemu_plugin_register_atexit_cb(id, write_total, NULL);
    return 0;
}
