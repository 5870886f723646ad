/* SPDX-License-Identifier: Apache-2.0
 *
 * What the runtime and the compiler want of libc. Eight bytes at a time where both sides are aligned, so that the count
 * comes near that of the C library on the device; its own copies use SIMD registers and take fewer instructions still.
 */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t count);
void *memset(void *to, int value, size_t count);

typedef uint64_t __attribute__((may_alias)) word;

void *memcpy(void *restrict to, const void *restrict from, size_t count)
{
    uint8_t *destination = to;
    const uint8_t *source = from;
    if (((uintptr_t)to | (uintptr_t)from) % sizeof(word) == 0) {
        for (; count >= sizeof(word); count -= sizeof(word)) {
            *(word *)(void *)destination = *(const word *)(const void *)source;
            destination += sizeof(word);
            source += sizeof(word);
        }
    }
    while (count-- > 0) {
        *destination++ = *source++;
    }
    return to;
}

void *memset(void *to, int value, size_t count)
{
    uint8_t *destination = to;
    if ((uintptr_t)to % sizeof(word) == 0) {
        const word pattern = UINT64_C(0x0101010101010101) * (uint8_t)value;
        for (; count >= sizeof(word); count -= sizeof(word)) {
            *(word *)(void *)destination = pattern;
            destination += sizeof(word);
        }
    }
    while (count-- > 0) {
        *destination++ = (uint8_t)value;
    }
    return to;
}
