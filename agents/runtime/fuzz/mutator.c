/* SPDX-License-Identifier: Apache-2.0
 *
 * Mutates artifacts so that many are still accepted, or refused only by the last checks. Most fields are varints: most
 * mutations take the bytes at some place for one and write another number. Whatever was changed, data that have to be
 * aligned stay so, and the announced length and the CRC-32 are made right again.
 */
#include <string.h>

#include "crc32.h"
#include "header.h"
#include "record.h"

#define LONGEST_VARINT 5u
#define LONGEST_MOVE 64u
#define HEADER_NUMBERS 5u /* arena, tensors, operators, input, output */
#define MOST_SPREAD 64u   /* tensors, */
#define MOST_SPREAD_WORDS (32u << 10) /* and of the arena */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size); /* libFuzzer's own */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

/* A file: an artifact of `artifact` bytes, then the model's input. */
typedef struct {
    uint8_t *bytes;
    size_t artifact;
    size_t size;
    size_t capacity;
    uint64_t random;
} file;

static uint32_t next_random(file *f) { /* xorshift64*, Vigna 2016 */
    f->random ^= f->random >> 12;
    f->random ^= f->random << 25;
    f->random ^= f->random >> 27;
    return (uint32_t)(f->random * 0x2545f4914f6cdd1du >> 32);
}

static uint32_t below(file *f, size_t bound) { return next_random(f) % (uint32_t)bound; }

/* A place in the artifact behind the fixed header: half of them in its first bytes, where fewer are weights. */
static size_t place(file *f) {
    const size_t bytes = f->artifact - FIELDS_AT;
    return FIELDS_AT + below(f, next_random(f) % 2u == 0u && bytes > 128u ? 128u : bytes);
}

/* The varint at a place, and of how many bytes it is; those that are none count as one byte. */
static uint32_t varint(const file *f, size_t at, size_t *count) {
    uint64_t value = 0u;
    size_t i;
    for (i = 0u; i < LONGEST_VARINT && at + i < f->artifact; i++) {
        value |= (uint64_t)(f->bytes[at + i] & 0x7fu) << 7u * i;
        if (f->bytes[at + i] < 0x80u) {
            *count = i + 1u;
            return (uint32_t)value;
        }
    }
    *count = 1u;
    return f->bytes[at];
}

static size_t write_varint(uint32_t value, uint8_t *into) {
    size_t count = 0u;
    for (; value >= 0x80u; value >>= 7) into[count++] = (uint8_t)(value | 0x80u);
    into[count++] = (uint8_t)value;
    return count;
}

static int is_aligned(const dcc_operator *operator) {
    return dcc_kind_of(operator) == DCC_CONVOLUTION && (operator->conv.weight_form.encoding == DCC_RAW ||
                                                        (operator->conv.channel_form.form & DCC_WIDE) != 0u);
}

/* Where the bytes lie that align the first of a convolution's data behind `at`, and how many; 0 if there are none. */
static size_t padding_behind(const file *f, size_t at, size_t *count) {
    dcc_model model = {0};
    dcc_cursor cursor = dcc_cursor_between(f->bytes + FIELDS_AT, f->bytes + f->artifact);
    uint32_t numbers[HEADER_NUMBERS];
    uint32_t i;
    for (i = 0u; i < HEADER_NUMBERS; i++) numbers[i] = dcc_take_unsigned(&cursor);
    for (i = 0u; i < numbers[1] && !cursor.failed; i++) (void)dcc_read_tensor(&cursor);
    model.operators = &dcc_all_operators;
    for (i = 0u; i < numbers[2]; i++) {
        dcc_operator operator;
        if (dcc_read_operator(&operator, &model, &cursor) != DCC_OK) return 0u;
        if (is_aligned(&operator) && (size_t)(operator.conv.padding - f->bytes) >= at) {
            *count = (size_t)(operator.conv.data - operator.conv.padding);
            return (size_t)(operator.conv.padding - f->bytes);
        }
    }
    return 0u;
}

static void replace_bytes(file *f, size_t at, size_t old, const uint8_t *bytes, size_t count) {
    memmove(f->bytes + at + count, f->bytes + at + old, f->size - at - old);
    if (count != 0u) memcpy(f->bytes + at, bytes, count);
    f->artifact = f->artifact - old + count;
    f->size = f->size - old + count;
}

/* Puts `count` bytes, not of the file itself, where `old` bytes of the artifact were. What is aligned stays so. */
static void replace(file *f, size_t at, size_t old, const uint8_t *bytes, size_t count) {
    static const uint8_t zeros[DCC_ALIGNMENT - 1u] = {0u};
    size_t padding_count = 0u;
    const size_t padding = padding_behind(f, at + old, &padding_count);
    if (f->size - old + count + sizeof zeros > f->capacity) return;
    if (padding != 0u) replace_bytes(f, padding, padding_count, zeros, (padding_count + old - count) % DCC_ALIGNMENT);
    replace_bytes(f, at, old, bytes, count);
}

static uint32_t other_value(file *f, uint32_t value) {
    static const uint32_t limits[] = {0u,     16u,    31u,      128u,      255u,       256u,        512u,       4096u,
                                      32767u, 65535u, 1u << 16, 1u << 26, 0x10000001u, 0x7fffffffu, 0x80000000u, 0xffffffffu};
    size_t count;
    switch (below(f, 8u)) {
    case 0u: return value + 1u;
    case 1u: return value - 1u;
    case 2u: return value * 2u;
    case 3u: return value / 2u;
    case 4u: return value ^ 1u << below(f, 32u);
    case 5u: return below(f, 9u);
    case 6u: return limits[below(f, sizeof limits / sizeof limits[0])];
    default: return varint(f, place(f), &count);
    }
}

static void change_varint(file *f) {
    uint8_t bytes[LONGEST_VARINT + 1u];
    const size_t at = place(f);
    size_t old;
    const uint32_t value = varint(f, at, &old);
    size_t count = write_varint(other_value(f, value), bytes);
    if (below(f, 64u) == 0u) { /* longer than needed: to be refused */
        bytes[count - 1u] |= 0x80u;
        bytes[count++] = 0u;
    }
    replace(f, at, old, bytes, count);
}

static void change_byte(file *f) {
    static const uint8_t limits[] = {0x00u, 0x01u, 0x7fu, 0x80u, 0xffu};
    uint8_t *byte = f->bytes + place(f);
    switch (below(f, 4u)) {
    case 0u: *byte ^= (uint8_t)(1u << below(f, 8u)); break;
    case 1u: (*byte)++; break;
    case 2u: (*byte)--; break;
    default: *byte = limits[below(f, sizeof limits)]; break;
    }
}

/* Copies some bytes of the artifact over others or between them, or leaves some out: fields, records, pieces of them. */
static void move_bytes(file *f) {
    uint8_t bytes[LONGEST_MOVE];
    const size_t from = place(f);
    const size_t most = f->artifact - from < LONGEST_MOVE ? f->artifact - from : LONGEST_MOVE;
    const size_t count = 1u + below(f, most);
    const size_t at = place(f);
    memcpy(bytes, f->bytes + from, count);
    switch (below(f, 3u)) {
    case 0u: replace(f, from, count, bytes, 0u); break;
    case 1u: replace(f, at, 0u, bytes, count); break;
    default: replace(f, at, f->artifact - at < count ? f->artifact - at : count, bytes, count); break;
    }
}

/* Moves the tensors apart, behind all there was in the arena: then they may grow, as may scratch, before they overlap. */
static void spread_tensors(file *f) {
    uint8_t bytes[MOST_SPREAD * (4u * LONGEST_VARINT + 1u)];
    uint8_t arena[LONGEST_VARINT];
    dcc_cursor cursor = dcc_cursor_between(f->bytes + FIELDS_AT, f->bytes + f->artifact);
    uint32_t words = dcc_take_unsigned(&cursor);
    const size_t arena_count = (size_t)(cursor.next - f->bytes) - FIELDS_AT;
    const uint32_t tensors = dcc_take_unsigned(&cursor);
    size_t count = 0u;
    size_t table;
    uint32_t i;
    words += 64u + words / 2u;
    for (i = 2u; i < HEADER_NUMBERS; i++) (void)dcc_take_unsigned(&cursor);
    table = (size_t)(cursor.next - f->bytes);
    if (tensors > MOST_SPREAD) return;
    for (i = 0u; i < tensors; i++) {
        const dcc_tensor tensor = dcc_read_tensor(&cursor);
        const uint64_t area = (uint64_t)tensor.height * tensor.width;
        if (cursor.failed || area > MOST_SPREAD_WORDS || area * tensor.channels > MOST_SPREAD_WORDS) return;
        count += write_varint(words, bytes + count);
        count += write_varint(tensor.height, bytes + count);
        count += write_varint(tensor.width, bytes + count);
        count += write_varint(tensor.channels, bytes + count);
        bytes[count++] = (uint8_t)tensor.zero_point;
        words += (uint32_t)area * tensor.channels / 2u + 16u; /* twice as many as it needs, and some */
        if (words > MOST_SPREAD_WORDS) return;
    }
    replace(f, table, (size_t)(cursor.next - f->bytes) - table, bytes, count);
    replace(f, FIELDS_AT, arena_count, arena, write_varint(words, arena));
}

/* libFuzzer's own mutations, which know the other files and what the target compares, of the artifact behind its header. */
static void mutate_artifact(file *f) {
    const size_t input = f->size - f->artifact;
    const size_t most = f->capacity - input - FIELDS_AT;
    uint8_t *input_apart = f->bytes + f->capacity - input;
    if (most == 0u) return;
    memmove(input_apart, f->bytes + f->artifact, input);
    f->artifact = FIELDS_AT + LLVMFuzzerMutate(f->bytes + FIELDS_AT, f->artifact - FIELDS_AT, most);
    f->size = f->artifact + input;
    memmove(f->bytes + f->artifact, input_apart, input);
}

static void mutate_input(file *f) {
    f->size = f->artifact +
              LLVMFuzzerMutate(f->bytes + f->artifact, f->size - f->artifact, f->capacity - f->artifact);
}

static void mutate(file *f) {
    const uint32_t which = below(f, 16u);
    if (f->artifact == FIELDS_AT || which < 3u) {
        mutate_artifact(f);
    } else if (which == 3u) {
        move_bytes(f);
    } else if (which == 4u) {
        if (f->capacity > f->artifact) mutate_input(f);
    } else if (which < 8u) {
        change_byte(f);
    } else {
        change_varint(f);
    }
}

static void put_u32(uint8_t *bytes, uint32_t value) {
    uint32_t i;
    for (i = 0u; i < 4u; i++) bytes[i] = (uint8_t)(value >> 8u * i);
}

static void repair(file *f) {
    static const uint8_t magic[4] = {'D', 'C', 'C', 3u};
    memcpy(f->bytes, magic, sizeof magic);
    put_u32(f->bytes + ARTIFACT_BYTES_AT, (uint32_t)f->artifact);
    put_u32(f->bytes + CRC_AT, dcc_crc32(f->bytes + CHECKED_AT, (uint32_t)f->artifact - CHECKED_AT));
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed) {
    file f;
    uint32_t rounds;
    if (size <= FIELDS_AT || max_size <= FIELDS_AT) return LLVMFuzzerMutate(data, size, max_size);
    f.bytes = data;
    f.artifact = fuzz_artifact_bytes(data, size);
    f.size = size;
    f.capacity = max_size;
    f.random = seed + 0x9e3779b97f4a7c15u;
    next_random(&f);
    if (below(&f, 128u) == 0u) return LLVMFuzzerMutate(data, size, max_size); /* the header itself, and the CRC */
    if (below(&f, 3u) == 0u) spread_tensors(&f);
    rounds = 1u + below(&f, 2u);
    for (; rounds > 0u; rounds--) mutate(&f);
    repair(&f);
    return f.size;
}
