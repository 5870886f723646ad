/* SPDX-License-Identifier: Apache-2.0 */
#include "port.h"

#include "clock.h"
#include "stm32f405.h"
#include "timer.h"
#include "usart.h"

/* From the linker script. */
extern uint32_t stack_bottom[];
extern uint8_t pool_begin[];
extern uint8_t pool_end[];
extern const uint8_t runtime_code_begin[];
extern const uint8_t runtime_code_end[];

const char port_profile[] = "stm32f405";

static clocks running;

void port_start(void) {
    running = clock_start();
    timer_start();
    usart_start(running.usart1_hz);
}

uint32_t port_core_hz(void) { return running.core_hz; }

uint32_t port_timer_hz(void) { return running.tim2_hz; }

uint8_t *port_pool(void) { return pool_begin; }

size_t port_pool_bytes(void) { return (size_t)(pool_end - pool_begin); }

size_t port_runtime_code_bytes(void) { return (size_t)(runtime_code_end - runtime_code_begin); }

void port_quiet_begin(void) { __asm volatile("cpsid i" ::: "memory"); }

void port_quiet_end(void) { __asm volatile("cpsie i\n isb" ::: "memory"); }

uint32_t *port_stack_bottom(void) { return stack_bottom; }

/* Naked, so that the stack pointer is still the caller's. */
__attribute__((naked)) uint32_t *port_stack_pointer(void) { __asm volatile("mov r0, sp\n bx lr"); }

_Noreturn void port_restart(void) {
    __asm volatile("dsb");
    SCB_AIRCR = SCB_AIRCR_SYSRESETREQ;
    for (;;) continue;
}
