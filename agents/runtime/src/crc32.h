/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DCC_CRC32_H
#define DCC_CRC32_H

#include <stdint.h>

/* CRC-32 of IEEE 802.3, as zlib computes it. */
uint32_t dcc_crc32(const uint8_t *bytes, uint32_t count);

#endif
