/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks a whole artifact once, so that running it needs no checks. dccdka/packing/reading.py refuses the same artifacts
 * with the same status.
 */
#include <string.h>

#include "check.h"
#include "crc32.h"
#include "record.h"

#define CHECKSUM_FROM 8u

static int scale_valid(uint32_t float_bits) { /* positive, finite, not zero */
    return float_bits - 1u < 0x7f7fffffu;
}

static dcc_status check_fixed_header(const uint8_t *artifact, size_t available) {
    static const uint8_t magic[3] = {'D', 'C', 'C'};
    uint32_t announced;
    uint32_t i;
    if (available < DCC_FIXED_HEADER_BYTES) return DCC_ERROR_TOO_SHORT;
    for (i = 0u; i < 3u; i++) {
        if (artifact[i] != magic[i]) return DCC_ERROR_MAGIC;
    }
    if (artifact[3] != DCC_FORMAT_VERSION) return DCC_ERROR_VERSION;
    announced = dcc_u32(artifact + 8);
    if (announced > available || announced < DCC_FIXED_HEADER_BYTES) return DCC_ERROR_TOO_SHORT;
    if (announced > DCC_MAX_BYTES) return DCC_ERROR_DATA_RANGE;
    if (dcc_crc32(artifact + CHECKSUM_FROM, announced - CHECKSUM_FROM) != dcc_u32(artifact + 4)) {
        return DCC_ERROR_CHECKSUM;
    }
    if (!scale_valid(dcc_u32(artifact + 12)) || !scale_valid(dcc_u32(artifact + 16))) return DCC_ERROR_REQUANTISATION;
    return DCC_OK;
}

/* What of the header the rest of the checks needs. */
typedef struct {
    uint32_t tensor_count;
    uint32_t input;
    uint32_t output;
} header;

static dcc_status read_header(header *fields, dcc_model *model, dcc_cursor *cursor) {
    const uint32_t arena_words = dcc_take_unsigned(cursor);
    fields->tensor_count = dcc_take_unsigned(cursor);
    model->operator_count = dcc_take_unsigned(cursor);
    fields->input = dcc_take_unsigned(cursor);
    fields->output = dcc_take_unsigned(cursor);
    if (cursor->failed) return DCC_ERROR_DATA_RANGE;
    if (arena_words > DCC_MAX_BYTES / 4u) return DCC_ERROR_ARENA_RANGE;
    model->arena_bytes = 4u * arena_words;
    if (fields->tensor_count - 1u >= DCC_MAX_TENSORS || model->operator_count - 1u >= DCC_MAX_OPERATORS) {
        return DCC_ERROR_DATA_RANGE;
    }
    if (fields->input >= fields->tensor_count || fields->output >= fields->tensor_count) return DCC_ERROR_SHAPE;
    return DCC_OK;
}

static int size_valid(uint32_t size) { return size - 1u < 65535u; }

static dcc_status check_tensors(const dcc_model *model, uint32_t count, dcc_cursor *cursor) {
    uint32_t i;
    for (i = 0u; i < count; i++) {
        const dcc_tensor tensor = dcc_read_tensor(cursor);
        uint64_t bytes;
        if (cursor->failed) return DCC_ERROR_DATA_RANGE;
        if (!size_valid(tensor.height) || !size_valid(tensor.width) || !size_valid(tensor.channels)) {
            return DCC_ERROR_SHAPE;
        }
        bytes = (uint64_t)tensor.height * tensor.width * tensor.channels; /* below 2^48 */
        if (4u * (uint64_t)tensor.at + bytes > model->arena_bytes) return DCC_ERROR_ARENA_RANGE;
    }
    return DCC_OK;
}

/* Which tensors hold a value: written, and not overwritten since. */
typedef struct {
    uint32_t bits[DCC_MAX_TENSORS / 32u];
} tensor_set;

static int holds(const tensor_set *set, uint32_t index) { return (set->bits[index / 32u] >> (index % 32u)) & 1u; }

static void include(tensor_set *set, uint32_t index) { set->bits[index / 32u] |= 1u << (index % 32u); }

static void exclude(tensor_set *set, uint32_t index) { set->bits[index / 32u] &= ~(1u << (index % 32u)); }

/* After the operator: what its output or its scratch lies on holds its value no more. */
static void update(tensor_set *held, const dcc_model *model, const dcc_operator *operator, uint32_t tensor_count) {
    dcc_cursor cursor = dcc_cursor_at(model, model->tensors_at);
    uint32_t i;
    for (i = 0u; i < tensor_count; i++) {
        dcc_tensor tensor = dcc_read_tensor(&cursor);
        tensor.at *= 4u;
        if (dcc_tensors_overlap(&tensor, &operator->output) ||
            dcc_overlap(4u * operator->conv.scratch_words, operator->conv.scratch_bytes, tensor.at, dcc_tensor_bytes(&tensor))) {
            exclude(held, i);
        }
    }
    include(held, operator->output_index);
}

static dcc_status check_operator(
    const dcc_model *model, uint32_t tensor_count, tensor_set *held, dcc_cursor *cursor) {
    dcc_operator operator;
    dcc_status status = dcc_read_operator(&operator, model, cursor);
    if (status != DCC_OK) return status;
    if (operator.input_index >= tensor_count || operator.output_index >= tensor_count ||
        operator.second_index >= tensor_count) {
        return DCC_ERROR_SHAPE;
    }
    if (operator.scaling.low > operator.scaling.high) return DCC_ERROR_REQUANTISATION;
    dcc_find_tensors(&operator, model);
    status = model->operators->kinds[dcc_kind_of(&operator)]->check(&operator, model);
    if (status != DCC_OK) return status;
    if (!holds(held, operator.input_index)) return DCC_ERROR_ARENA_RANGE;
    if (dcc_reads_second(&operator, model) && !holds(held, operator.second_index)) return DCC_ERROR_ARENA_RANGE;
    update(held, model, &operator, tensor_count);
    return DCC_OK;
}

static dcc_status check_operators(const dcc_model *model, const header *fields, dcc_cursor *cursor) {
    tensor_set held;
    uint32_t i;
    memset(&held, 0, sizeof held);
    include(&held, fields->input);
    for (i = 0u; i < model->operator_count; i++) {
        const dcc_status status = check_operator(model, fields->tensor_count, &held, cursor);
        if (status != DCC_OK) return status;
    }
    if (cursor->next != cursor->end) return DCC_ERROR_DATA_RANGE;
    return holds(&held, fields->output) ? DCC_OK : DCC_ERROR_ARENA_RANGE;
}

static void describe(dcc_model *model, const header *fields) {
    const dcc_tensor input = dcc_find_tensor(model, fields->input);
    const dcc_tensor output = dcc_find_tensor(model, fields->output);
    model->input_at = input.at;
    model->input_bytes = dcc_tensor_bytes(&input);
    model->output_at = output.at;
    model->output_bytes = dcc_tensor_bytes(&output);
}

dcc_status dcc_model_load(
    dcc_model *model, const dcc_operators *operators, const void *artifact, size_t artifact_bytes) {
    const uint8_t *bytes = artifact;
    dcc_cursor cursor;
    header fields;
    dcc_status status;
    if ((uintptr_t)artifact % DCC_ALIGNMENT != 0u) return DCC_ERROR_ALIGNMENT;
    status = check_fixed_header(bytes, artifact_bytes);
    if (status != DCC_OK) return status;
    model->operators = operators;
    model->artifact = bytes;
    model->artifact_bytes = dcc_u32(bytes + 8);
    cursor = dcc_cursor_at(model, DCC_FIXED_HEADER_BYTES);
    status = read_header(&fields, model, &cursor);
    if (status != DCC_OK) return status;
    model->tensors_at = (uint32_t)(cursor.next - bytes);
    status = check_tensors(model, fields.tensor_count, &cursor);
    if (status != DCC_OK) return status;
    model->operators_at = (uint32_t)(cursor.next - bytes);
    status = check_operators(model, &fields, &cursor);
    if (status == DCC_OK) describe(model, &fields);
    return status;
}
