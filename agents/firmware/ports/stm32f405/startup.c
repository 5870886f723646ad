/* SPDX-License-Identifier: Apache-2.0
 *
 * Vector table and the way from reset to main.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "stm32f405.h"
#include "usart.h"

int main(void);

/* From the linker script. */
extern uint32_t stack_top[];
extern uint8_t data_begin[];
extern uint8_t data_end[];
extern const uint8_t data_in_flash[];
extern uint8_t bss_begin[];
extern uint8_t bss_end[];

_Noreturn void start(void);

_Noreturn void start(void) {
    SCB_CPACR |= SCB_CPACR_FPU;
    __asm volatile("dsb\n isb");
    memcpy(data_begin, data_in_flash, (size_t)(data_end - data_begin));
    memset(bss_begin, 0, (size_t)(bss_end - bss_begin));
    (void)main();
    for (;;) continue;
}

/* A fault, or an interrupt that nobody asked for, restarts the chip; the harness notices that its artifact is gone. Naked: after a
 * stack overflow there is no stack to push to, and a second fault in here would lock the core up. */
static __attribute__((naked)) void restart(void) {
    __asm volatile("ldr r0, =0xe000ed0c\n" /* SCB_AIRCR */
                   "ldr r1, =0x05fa0004\n" /* SYSRESETREQ */
                   "str r1, [r0]\n"
                   "dsb\n"
                   "b .\n");
}

typedef void (*vector)(void);

/* Places in the table: the core's first, then the chip's interrupts (RM0090 table 62). */
#define USART1_PLACE (16u + USART1_INTERRUPT)
#define PLACES (16u + 82u)

static const struct {
    uint32_t *stack;
    vector start;
    vector others[PLACES - 2];
} table __attribute__((section(".vectors"), used)) = {
    stack_top,
    start,
    {
        [0 ... USART1_PLACE - 3] = restart,
        [USART1_PLACE - 2] = usart_interrupt,
        [USART1_PLACE - 1 ... PLACES - 3] = restart,
    },
};
