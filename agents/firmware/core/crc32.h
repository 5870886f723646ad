/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CRC32_H
#define CRC32_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32 of IEEE 802.3 (reflected polynomial 0xEDB88320), as zlib computes it. */
uint32_t crc32(const uint8_t *data, size_t bytes);

#endif
