/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHA256_H
#define SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_BYTES 32u

/* SHA-256 (FIPS 180-4) of data that is all there at once. */
void sha256(const uint8_t *data, size_t bytes, uint8_t digest[SHA256_BYTES]);

#endif
