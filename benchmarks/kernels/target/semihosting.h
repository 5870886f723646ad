/* SPDX-License-Identifier: Apache-2.0
 *
 * Semihosting (Arm's "Semihosting for AArch32 and AArch64", 2023Q3): the emulator reads, writes and ends for the program.
 */
#ifndef SEMIHOSTING_H
#define SEMIHOSTING_H

#include <stdint.h>

enum { SYS_OPEN = 0x01, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT_EXTENDED = 0x20 };
enum { OPEN_READ_BINARY = 1, OPEN_WRITE_BINARY = 5 };

static inline uintptr_t semihosting(uintptr_t operation, const void *parameters) {
    register uintptr_t r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = parameters;
    __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

/* To standard output. */
static inline void host_write(const void *data, uint32_t bytes) {
    static const char console[] = ":tt";
    const uintptr_t name[] = {(uintptr_t)console, OPEN_WRITE_BINARY, sizeof console - 1u};
    const uintptr_t block[] = {semihosting(SYS_OPEN, name), (uintptr_t)data, bytes};
    (void)semihosting(SYS_WRITE, block);
}

_Noreturn static inline void host_exit(void) {
    const uintptr_t application_exit[] = {0x20026u, 0u}; /* ADP_Stopped_ApplicationExit, no failure */
    (void)semihosting(SYS_EXIT_EXTENDED, application_exit);
    for (;;) continue;
}

#endif
