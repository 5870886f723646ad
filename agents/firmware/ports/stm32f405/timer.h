/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIMER_H
#define TIMER_H

/* TIM2 counts the clock of its bus, 32 bits wide. TIM5 counts the same clock divided by 2^16 and so tells whether TIM2 has run
 * over; TIM2's own overflow flag would do on the chip, but QEMU does not set it. */
void timer_start(void);

#endif
