/* SPDX-License-Identifier: Apache-2.0 */
#include "sha256.h"

#include <string.h>

#define BLOCK_BYTES 64u
#define LENGTH_BYTES 8u

/* FIPS 180-4, 4.2.2: fractional parts of the cube roots of the first 64 primes. */
static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate_right(uint32_t value, unsigned places) { return value >> places | value << (32 - places); }

static uint32_t load_big_endian(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void store_big_endian(uint8_t *at, uint32_t value) {
    for (unsigned i = 0; i < 4; i++) at[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* FIPS 180-4, 6.2.2, with the message schedule kept as a ring of 16 words. */
static void compress(uint32_t state[8], const uint8_t block[BLOCK_BYTES]) {
    uint32_t w[16];
    uint32_t v[8];
    memcpy(v, state, sizeof v);
    for (unsigned t = 0; t < 64; t++) {
        if (t < 16) {
            w[t] = load_big_endian(block + 4 * t);
        } else {
            const uint32_t w15 = w[(t + 1) & 15];
            const uint32_t w2 = w[(t + 14) & 15];
            const uint32_t s0 = rotate_right(w15, 7) ^ rotate_right(w15, 18) ^ w15 >> 3;
            const uint32_t s1 = rotate_right(w2, 17) ^ rotate_right(w2, 19) ^ w2 >> 10;
            w[t & 15] += s0 + w[(t + 9) & 15] + s1;
        }
        const uint32_t sum1 = rotate_right(v[4], 6) ^ rotate_right(v[4], 11) ^ rotate_right(v[4], 25);
        const uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
        const uint32_t t1 = v[7] + sum1 + choice + round_constants[t] + w[t & 15];
        const uint32_t sum0 = rotate_right(v[0], 2) ^ rotate_right(v[0], 13) ^ rotate_right(v[0], 22);
        const uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        memmove(v + 1, v, 7 * sizeof v[0]);
        v[4] += t1;
        v[0] = t1 + sum0 + majority;
    }
    for (unsigned i = 0; i < 8; i++) state[i] += v[i];
}

void sha256(const uint8_t *data, size_t bytes, uint8_t digest[SHA256_BYTES]) {
    uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    size_t at = 0;
    for (; bytes - at >= BLOCK_BYTES; at += BLOCK_BYTES) compress(state, data + at);

    uint8_t last[BLOCK_BYTES] = {0};
    memcpy(last, data + at, bytes - at);
    last[bytes - at] = 0x80;
    if (bytes - at >= BLOCK_BYTES - LENGTH_BYTES) { /* no room for the length beside the end mark */
        compress(state, last);
        memset(last, 0, sizeof last);
    }
    const uint64_t bits = (uint64_t)bytes * 8;
    store_big_endian(last + 56, (uint32_t)(bits >> 32));
    store_big_endian(last + 60, (uint32_t)bits);
    compress(state, last);
    for (unsigned i = 0; i < 8; i++) store_big_endian(digest + 4 * i, state[i]);
}
