/* SPDX-License-Identifier: Apache-2.0 */
#include "usart.h"

#include <stdbool.h>
#include <stddef.h>

#include "port.h"
#include "stm32f405.h"

#define BAUD 115200u
#define RING_BYTES 2048u /* a power of two, room for a whole frame and its retransmission's beginning */

/* Written by the interrupt only (head) and by the main loop only (tail); both count on and wrap. */
static uint8_t ring[RING_BYTES];
static volatile uint32_t head;
static volatile uint32_t tail;

void usart_start(uint32_t clock_hz) {
    RCC_AHB1ENR |= RCC_AHB1ENR_GPIOA;
    RCC_APB2ENR |= RCC_APB2ENR_USART1;
    GPIOA_AFRH = (GPIOA_AFRH & ~0xff0u) | 0x770u;                 /* RM0090 figure 26: function 7 is USART1 */
    GPIOA_PUPDR = (GPIOA_PUPDR & ~(3u << 20)) | 1u << 20;         /* pull PA10 up: an open pin is no noise */
    GPIOA_MODER = (GPIOA_MODER & ~(0xfu << 18)) | 0xau << 18;     /* PA9, PA10: alternate function */
    USART1_BRR = (clock_hz + BAUD / 2) / BAUD;                    /* RM0090 30.3.4, oversampling by 16 */
    USART1_CR1 = USART_CR1_UE | USART_CR1_RXNEIE | USART_CR1_TE | USART_CR1_RE;
    NVIC_ISER[USART1_INTERRUPT / 32] = 1u << USART1_INTERRUPT % 32;
}

void usart_interrupt(void) {
    /* Reading the status and then the data also clears an overrun: the bytes lost cost a frame, which is sent again. */
    if ((USART1_SR & USART_SR_RXNE) == 0) return;
    const uint8_t byte = (uint8_t)USART1_DR;
    if (head - tail == RING_BYTES) return;
    ring[head % RING_BYTES] = byte;
    head = head + 1;
}

bool port_receive(uint8_t *byte) {
    if (head == tail) return false;
    *byte = ring[tail % RING_BYTES];
    tail = tail + 1;
    return true;
}

void port_sleep(void) {
    /* With interrupts masked a byte that arrives between the look and the wait still ends the wait. */
    port_quiet_begin();
    if (head == tail) __asm volatile("dsb\n wfi");
    port_quiet_end();
}

void port_send(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        while ((USART1_SR & USART_SR_TXE) == 0) continue;
        USART1_DR = bytes[i];
    }
    while ((USART1_SR & USART_SR_TC) == 0) continue;
}
