/* SPDX-License-Identifier: Apache-2.0
 *
 * What the agent needs of a chip: each folder in ports/ provides this, a linker script and start-up code.
 */
#ifndef PORT_H
#define PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PORT_POOL_ALIGNMENT 8u

/* Clocks, link and timer; called once, first. */
void port_start(void);

/* The profile that this port makes the agent of, e.g. "stm32f405". */
extern const char port_profile[];

/* Clocks as they really run, in Hz. */
uint32_t port_core_hz(void);
uint32_t port_timer_hz(void);

/* RAM that nothing else uses, PORT_POOL_ALIGNMENT-aligned, and code and constants of the runtime as linked. */
uint8_t *port_pool(void);
size_t port_pool_bytes(void);
size_t port_runtime_code_bytes(void);

/* The next byte from the link, if one has arrived. */
bool port_receive(uint8_t *byte);

/* Sleeps until something happens, unless a byte has arrived meanwhile. */
void port_sleep(void);

/* Returns when the last bit has left. */
void port_send(const uint8_t *bytes, size_t count);

/* Between these two no interrupt is served. */
void port_quiet_begin(void);
void port_quiet_end(void);

/* Starts the timer from zero; later tells its ticks, or false when it has counted more than 32 bits hold. */
void port_timer_start(void);
bool port_timer_stop(uint32_t *ticks);

/* The lowest word of the stack, and the caller's stack pointer. */
uint32_t *port_stack_bottom(void);
uint32_t *port_stack_pointer(void);

/* Starts the chip afresh. */
_Noreturn void port_restart(void);

#endif
