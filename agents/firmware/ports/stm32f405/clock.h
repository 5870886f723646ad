/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>

typedef struct {
    uint32_t core_hz;
    uint32_t usart1_hz; /* of the bus APB2 */
    uint32_t tim2_hz;   /* of the bus APB1, doubled where that bus is divided (RM0090, figure 21) */
} clocks;

/* Raises the core to 168 MHz by the PLL from the internal oscillator. Where the PLL does not start, as in emulators that do not
 * model it, the reset clock stays. Returns the clocks that run. */
clocks clock_start(void);

#endif
