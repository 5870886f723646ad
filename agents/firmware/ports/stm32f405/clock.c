/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"

#include <stdbool.h>

#include "stm32f405.h"

#define HSI_HZ 16000000u /* RM0090 7.2.2: the clock after reset */
#define WAIT_LOOPS 10000u /* some 5 ms; the PLL locks within 300 us (DS8626 table 36) */

/* RM0090 7.3.2: 16 MHz / 8 = 2 MHz, the least jitter; x 168 = 336 MHz; / 2 = 168 MHz for the core, / 7 = 48 MHz for USB. */
#define PLL_M 8u
#define PLL_N 168u
#define PLL_Q 7u
#define PLL_FROM_HSI_DIV2 (PLL_M | PLL_N << 6 | PLL_Q << 24) /* P = 2 and the source HSI are coded as 0 */
#define PLL_HZ (HSI_HZ / PLL_M * PLL_N / 2u)

static bool wait_for(volatile uint32_t *from, uint32_t mask, uint32_t value) {
    for (uint32_t i = 0; i < WAIT_LOOPS; i++)
        if ((*from & mask) == value) return true;
    return false;
}

clocks clock_start(void) {
    const clocks after_reset = {HSI_HZ, HSI_HZ, HSI_HZ};
    RCC_PLLCFGR = PLL_FROM_HSI_DIV2;
    RCC_CR |= RCC_CR_PLLON;
    if (!wait_for(&RCC_CR, RCC_CR_PLLRDY, RCC_CR_PLLRDY)) {
        RCC_CR &= ~RCC_CR_PLLON;
        return after_reset;
    }
    /* RM0090 table 10: five wait states above 150 MHz at 2.7 to 3.6 V. APB1 may run at 42 MHz, APB2 at 84 MHz. The voltage scale
     * that 168 MHz needs is the one after reset (PWR_CR.VOS = 1). */
    FLASH_ACR = FLASH_ACR_LATENCY_5 | FLASH_ACR_PREFETCH | FLASH_ACR_INSTRUCTION_CACHE | FLASH_ACR_DATA_CACHE;
    RCC_CFGR = RCC_CFGR_PPRE1_DIV4 | RCC_CFGR_PPRE2_DIV2;
    RCC_CFGR |= RCC_CFGR_SW_PLL;
    if (!wait_for(&RCC_CFGR, RCC_CFGR_SWS, RCC_CFGR_SWS_PLL)) {
        RCC_CFGR = 0;
        return after_reset;
    }
    const clocks raised = {PLL_HZ, PLL_HZ / 2, PLL_HZ / 4 * 2};
    return raised;
}
