/* SPDX-License-Identifier: Apache-2.0
 *
 * dcc_model_run, called so that its return has a name: counting goes from its entry to count_end.
 */
    .syntax unified
    .section .text.counted_run, "ax"
    .thumb
    .global counted_run, count_end
    .type counted_run, %function
counted_run:
    push    {r4, lr}
    bl      dcc_model_run
count_end:
    pop     {r4, pc}
