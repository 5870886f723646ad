/* SPDX-License-Identifier: Apache-2.0
 *
 * What fuzz target and mutator know of an artifact's header (compression/dccdka/packing/FORMAT.md).
 */
#ifndef FUZZ_HEADER_H
#define FUZZ_HEADER_H

#include <stddef.h>
#include <stdint.h>

#define CRC_AT 4u
#define CHECKED_AT 8u /* what the CRC covers begins here */
#define ARTIFACT_BYTES_AT 8u
#define FIELDS_AT 20u /* the first varint */

/* How many of a file's bytes are the artifact: as many as its header says, if there are so many. */
static inline size_t fuzz_artifact_bytes(const uint8_t *file, size_t size) {
    uint32_t announced;
    if (size < FIELDS_AT) return size;
    announced = (uint32_t)file[ARTIFACT_BYTES_AT] | (uint32_t)file[ARTIFACT_BYTES_AT + 1u] << 8 |
                (uint32_t)file[ARTIFACT_BYTES_AT + 2u] << 16 | (uint32_t)file[ARTIFACT_BYTES_AT + 3u] << 24;
    return announced < FIELDS_AT || announced > size ? size : announced;
}

#endif
