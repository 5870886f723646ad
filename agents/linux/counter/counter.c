/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts the instructions of one inference. Linked with the very objects of the runtime that the Raspberry Pi's runner
 * has, and run on an emulated Cortex-A53 under QEMU's -icount shift=0, where the cycle counter steps once for each
 * instruction. harness/emulators/instruction_counter.py puts the job into RAM and reads the answer off the UART:
 *
 *   counted INSTRUCTIONS CALIBRATION OUTPUT_BYTES\n  + the output
 *   rejected DCC_STATUS\n | failed DCC_STATUS\n | misfit INPUT_BYTES ARENA_BYTES\n | fault ESR ELR FAR\n
 *
 * INSTRUCTIONS includes the reading of the counter, which by itself counts as CALIBRATION.
 */
#include "dcc_runtime.h"

#include <stddef.h>
#include <stdint.h>

/* In RAM at JOB_AT: this, then the artifact at the next multiple of 16, then the input likewise; the arena follows. */
typedef struct {
    uint32_t artifact_bytes;
    uint32_t input_bytes;
    uint32_t ram_bytes; /* from JOB_AT on */
    uint32_t reserved;
} job;

#define JOB_AT 0x40800000u
#define UART0_DR (*(volatile uint32_t *)0x09000000u) /* PL011 data register; QEMU needs no more set up */

_Noreturn void power_off(void);
_Noreturn void faulted(uint64_t esr, uint64_t elr, uint64_t far);
int main(void);

static void put_byte(uint8_t byte)
{
    UART0_DR = byte;
}

static void put_text(const char *text)
{
    while (*text != '\0') {
        put_byte((uint8_t)*text++);
    }
}

static void put_number(uint64_t value)
{
    char digits[21];
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    put_text(" ");
    put_text(&digits[at]);
}

static _Noreturn void answer(const char *word, uint64_t number)
{
    put_text(word);
    put_number(number);
    put_text("\n");
    power_off();
}

_Noreturn void faulted(uint64_t esr, uint64_t elr, uint64_t far)
{
    put_text("fault");
    put_number(esr);
    put_number(elr);
    answer("", far);
}

static void start_counter(void)
{
    const uint64_t everywhere = 0;
    const uint64_t enable = 1u << 0 | 1u << 6; /* PMCR_EL0.E, and .LC: all 64 bits */
    const uint64_t cycle_counter = 1u << 31;
    __asm__ volatile("msr pmccfiltr_el0, %0" : : "r"(everywhere));
    __asm__ volatile("msr pmcr_el0, %0" : : "r"(enable));
    __asm__ volatile("msr pmcntenset_el0, %0" : : "r"(cycle_counter));
    __asm__ volatile("isb");
}

static inline uint64_t read_counter(void)
{
    uint64_t count;
    __asm__ volatile("isb\n mrs %0, pmccntr_el0" : "=r"(count) : : "memory");
    return count;
}

static uint32_t aligned(uint32_t bytes)
{
    return (bytes + 15u) & ~15u;
}

int main(void)
{
    const job *const job = (const void *)(uintptr_t)JOB_AT;
    const uint8_t *const artifact = (const uint8_t *)(job + 1);
    const uint8_t *const input = artifact + aligned(job->artifact_bytes);
    const uint32_t used = (uint32_t)sizeof *job + aligned(job->artifact_bytes) + aligned(job->input_bytes);
    uint8_t *const arena = (uint8_t *)(uintptr_t)JOB_AT + used;

    dcc_model model;
    dcc_status status = dcc_model_load(&model, &dcc_all_operators, artifact, job->artifact_bytes);
    if (status != DCC_OK) {
        answer("rejected", status);
    }
    if (model.input_bytes != job->input_bytes || model.arena_bytes > job->ram_bytes - used) {
        put_text("misfit");
        put_number(model.input_bytes);
        answer("", model.arena_bytes);
    }
    for (uint32_t i = 0; i < job->input_bytes; i++) {
        dcc_model_input(&model, arena)[i] = (int8_t)input[i];
    }
    start_counter();
    const uint64_t before_nothing = read_counter();
    const uint64_t before = read_counter();
    status = dcc_model_run(&model, arena, model.arena_bytes);
    const uint64_t after = read_counter();
    if (status != DCC_OK) {
        answer("failed", status);
    }
    put_text("counted");
    put_number(after - before);
    put_number(before - before_nothing);
    put_number(model.output_bytes);
    put_text("\n");
    for (uint32_t i = 0; i < model.output_bytes; i++) {
        put_byte((uint8_t)dcc_model_output(&model, arena)[i]);
    }
    power_off();
}
