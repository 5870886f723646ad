/* SPDX-License-Identifier: Apache-2.0
 *
 * Start of the instruction counter on QEMU's "virt" machine: one Cortex-A53 at EL1. RAM is normal memory, as it is
 * under Linux, so that the runtime may load words from any address; everything else is device memory.
 */
    .section .text.start, "ax"
    .global _start
_start:
    mrs     x0, mpidr_el1               /* only the first core runs */
    tst     x0, #0xff
    b.ne    halt
    mov     x0, #(3 << 20)              /* CPACR_EL1.FPEN: floating point and SIMD registers at EL1 */
    msr     cpacr_el1, x0
    adr     x0, vectors
    msr     vbar_el1, x0
    ldr     x0, =0x00ff                 /* MAIR_EL1: 0 is normal memory, written back; 1 is device memory */
    msr     mair_el1, x0
    ldr     x0, =0x803520               /* TCR_EL1: 32 bits of address by TTBR0 alone, pages of 4 KiB */
    msr     tcr_el1, x0
    adr     x0, translations
    msr     ttbr0_el1, x0
    isb
    mrs     x0, sctlr_el1
    bic     x0, x0, #(1 << 1)           /* A: no alignment checks */
    orr     x0, x0, #(1 << 0)           /* M: MMU */
    orr     x0, x0, #(1 << 2)           /* C and I: caches */
    orr     x0, x0, #(1 << 12)
    msr     sctlr_el1, x0
    isb
    ldr     x0, =stack_top
    mov     sp, x0
    ldr     x0, =bss_start
    ldr     x1, =bss_end
clear:
    cmp     x0, x1
    b.hs    cleared
    str     xzr, [x0], #8
    b       clear
cleared:
    bl      main

    .global power_off
power_off:
    mov     w0, #0x0008                 /* PSCI SYSTEM_OFF (Arm DEN 0022), 0x84000008 */
    movk    w0, #0x8400, lsl #16
    hvc     #0
halt:
    wfi
    b       halt

    /* Every exception is the candidate's or our own fault: report it and stop. */
    .balign 2048
vectors:
    .rept   16
    .balign 128
    mrs     x0, esr_el1
    mrs     x1, elr_el1
    mrs     x2, far_el1
    b       faulted
    .endr

    /* Each GiB of the lower 4 as it lies: UART and flash, RAM, nothing. */
    .balign 4096
translations:
    .quad   0x00000405
    .quad   0x40000701
    .quad   0, 0
