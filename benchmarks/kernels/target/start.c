/* SPDX-License-Identifier: Apache-2.0
 *
 * Vector table and the way from reset to main, on any Cortex-M with or without an FPU.
 */
#include <stdint.h>

#include "semihosting.h"

int main(void);
_Noreturn void start(void);

extern uint32_t stack_top[]; /* from the linker script */

_Noreturn void start(void) {
#ifdef __ARM_FP
    *(volatile uint32_t *)0xe000ed88u |= 0xfu << 20; /* CPACR: coprocessors 10 and 11, the FPU */
    __asm volatile("dsb\n isb");
#endif
    (void)main();
    host_exit();
}

static void fault(void) {
    static const char words[] = "fault 0\n";
    host_write(words, sizeof words - 1u);
    host_exit();
}

static const struct {
    uint32_t *stack;
    void (*handlers[15])(void);
} vectors __attribute__((section(".vectors"), used)) = {stack_top, {start, [1 ... 14] = fault}};
