/* SPDX-License-Identifier: Apache-2.0
 *
 * The link: USART1 on PA9 (out) and PA10 (in), 115200 baud, 8 bits, no parity, 1 stop bit.
 */
#ifndef USART_H
#define USART_H

#include <stdint.h>

/* clock_hz: of the bus that feeds USART1. */
void usart_start(uint32_t clock_hz);

void usart_interrupt(void);

#endif
