/* SPDX-License-Identifier: Apache-2.0
 *
 * The registers that the agent uses. Sources: ST RM0090 (STM32F405 reference manual), register maps of each peripheral's
 * chapter and section 2.3 for the addresses; Arm DDI 0403 (ARMv7-M) for the system control space.
 */
#ifndef STM32F405_H
#define STM32F405_H

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))

/* RM0090 7.3: reset and clock control */
#define RCC_CR REGISTER(0x40023800u)
#define RCC_CR_PLLON (1u << 24)
#define RCC_CR_PLLRDY (1u << 25)
#define RCC_PLLCFGR REGISTER(0x40023804u)
#define RCC_CFGR REGISTER(0x40023808u)
#define RCC_CFGR_SW_PLL 2u
#define RCC_CFGR_SWS (3u << 2)
#define RCC_CFGR_SWS_PLL (2u << 2)
#define RCC_CFGR_PPRE1_DIV4 (5u << 10)
#define RCC_CFGR_PPRE2_DIV2 (4u << 13)
#define RCC_AHB1ENR REGISTER(0x40023830u)
#define RCC_AHB1ENR_GPIOA (1u << 0)
#define RCC_APB1ENR REGISTER(0x40023840u)
#define RCC_APB1ENR_TIM2 (1u << 0)
#define RCC_APB1ENR_TIM5 (1u << 3)
#define RCC_APB2ENR REGISTER(0x40023844u)
#define RCC_APB2ENR_USART1 (1u << 4)

/* RM0090 3.9: flash interface */
#define FLASH_ACR REGISTER(0x40023c00u)
#define FLASH_ACR_LATENCY_5 5u
#define FLASH_ACR_PREFETCH (1u << 8)
#define FLASH_ACR_INSTRUCTION_CACHE (1u << 9)
#define FLASH_ACR_DATA_CACHE (1u << 10)

/* RM0090 8.4: GPIO port A */
#define GPIOA_MODER REGISTER(0x40020000u)
#define GPIOA_PUPDR REGISTER(0x4002000cu)
#define GPIOA_AFRH REGISTER(0x40020024u)

/* RM0090 30.6: USART1 */
#define USART1_SR REGISTER(0x40011000u)
#define USART_SR_RXNE (1u << 5)
#define USART_SR_TC (1u << 6)
#define USART_SR_TXE (1u << 7)
#define USART1_DR REGISTER(0x40011004u)
#define USART1_BRR REGISTER(0x40011008u)
#define USART1_CR1 REGISTER(0x4001100cu)
#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)
#define USART_CR1_RXNEIE (1u << 5)
#define USART_CR1_UE (1u << 13)
#define USART1_INTERRUPT 37u

/* RM0090 18.4: TIM2 and TIM5, the two counters of 32 bits */
#define TIM2_CR1 REGISTER(0x40000000u)
#define TIM2_EGR REGISTER(0x40000014u)
#define TIM2_CNT REGISTER(0x40000024u)
#define TIM2_PSC REGISTER(0x40000028u)
#define TIM2_ARR REGISTER(0x4000002cu)
#define TIM5_CR1 REGISTER(0x40000c00u)
#define TIM5_EGR REGISTER(0x40000c14u)
#define TIM5_CNT REGISTER(0x40000c24u)
#define TIM5_PSC REGISTER(0x40000c28u)
#define TIM5_ARR REGISTER(0x40000c2cu)
#define TIM_CR1_CEN (1u << 0)
#define TIM_EGR_UG (1u << 0)

/* DDI 0403 B3: interrupt controller and system control block */
#define NVIC_ISER ((volatile uint32_t *)0xe000e100u)
#define SCB_AIRCR REGISTER(0xe000ed0cu)
#define SCB_AIRCR_SYSRESETREQ (0x05fa0000u | 1u << 2)
#define SCB_CPACR REGISTER(0xe000ed88u)
#define SCB_CPACR_FPU (0xfu << 20)

#endif
