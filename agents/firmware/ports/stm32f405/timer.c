/* SPDX-License-Identifier: Apache-2.0 */
#include "timer.h"

#include "port.h"
#include "stm32f405.h"

#define COARSE_DIVIDER 0x10000u
#define COARSE_LIMIT (0x10000u - 1u) /* ticks of TIM5 in 2^32 of TIM2, less one, since a step of TIM5 may be about to come */

void timer_start(void) {
    RCC_APB1ENR |= RCC_APB1ENR_TIM2 | RCC_APB1ENR_TIM5;
    TIM2_PSC = 0;
    TIM2_ARR = UINT32_MAX;
    TIM2_CR1 = TIM_CR1_CEN;
    TIM5_PSC = COARSE_DIVIDER - 1;
    TIM5_ARR = UINT32_MAX;
    TIM5_CR1 = TIM_CR1_CEN;
}

void port_timer_start(void) {
    TIM5_EGR = TIM_EGR_UG;
    TIM2_EGR = TIM_EGR_UG;
}

bool port_timer_stop(uint32_t *ticks) {
    *ticks = TIM2_CNT;
    return TIM5_CNT < COARSE_LIMIT;
}
