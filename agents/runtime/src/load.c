/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks a whole artifact once, so that running it needs no checks. dccdka/packing/checks.py refuses the same artifacts
 * with the same status.
 */
#include "check.h"
#include "crc32.h"

static int scale_valid(uint32_t float_bits) { /* positive, finite, not zero */
    return float_bits - 1u < 0x7f7fffffu;
}

static dcc_status check_header(const uint8_t *artifact, size_t available) {
    static const uint8_t magic[4] = {'D', 'C', 'C', 'A'};
    uint32_t announced;
    uint32_t i;
    if (available < DCC_HEADER_BYTES) return DCC_ERROR_TOO_SHORT;
    for (i = 0u; i < 4u; i++) {
        if (artifact[i] != magic[i]) return DCC_ERROR_MAGIC;
    }
    if (dcc_u32(artifact + 4) != DCC_FORMAT_VERSION) return DCC_ERROR_VERSION;
    announced = dcc_u32(artifact + 8);
    if (announced > available || announced < DCC_HEADER_BYTES) return DCC_ERROR_TOO_SHORT;
    if (announced > DCC_MAX_BYTES) return DCC_ERROR_DATA_RANGE;
    if (dcc_crc32(artifact + 16, announced - 16u) != dcc_u32(artifact + 12)) return DCC_ERROR_CHECKSUM;
    if (!scale_valid(dcc_u32(artifact + 28)) || !scale_valid(dcc_u32(artifact + 32))) {
        return DCC_ERROR_REQUANTISATION;
    }
    return DCC_OK;
}

static dcc_status check_tensors(const uint8_t *artifact, uint32_t count, uint32_t arena_bytes) {
    uint32_t i;
    for (i = 0u; i < count; i++) {
        const dcc_tensor tensor = dcc_read_tensor(artifact, i);
        uint64_t bytes = (uint64_t)tensor.height * tensor.width * tensor.channels;
        if (bytes == 0u) return DCC_ERROR_SHAPE;
        if (tensor.at % DCC_ALIGNMENT != 0u || tensor.at + bytes > arena_bytes) return DCC_ERROR_ARENA_RANGE;
    }
    return DCC_OK;
}

static int indices_valid(const uint8_t *record, uint32_t tensor_count) {
    return dcc_u16(record + 4) < tensor_count && dcc_u16(record + 6) < tensor_count &&
           (!dcc_is_pair(record[0]) || dcc_u16(record + 8) < tensor_count);
}

static dcc_status check_operators(const dcc_model *model, uint32_t tensor_count) {
    uint32_t at = model->operators_at;
    uint32_t i;
    for (i = 0u; i < model->operator_count; i++) {
        const uint8_t *record = model->artifact + at;
        uint32_t bytes;
        dcc_status status;
        if (at == model->artifact_bytes) return DCC_ERROR_DATA_RANGE;
        bytes = dcc_record_bytes(record[0]);
        if (bytes == 0u) return DCC_ERROR_OPERATOR;
        if (bytes > model->artifact_bytes - at) return DCC_ERROR_DATA_RANGE;
        if (!indices_valid(record, tensor_count)) return DCC_ERROR_SHAPE;
        status = dcc_check_operator(model->artifact, model->artifact_bytes, model->arena_bytes, record);
        if (status != DCC_OK) return status;
        at += bytes;
    }
    return DCC_OK;
}

/* Whether the operator at `record` overwrites part of the tensor. */
static int overwrites(const uint8_t *artifact, const uint8_t *record, const dcc_tensor *tensor) {
    const dcc_operator operator = dcc_read_operator(artifact, record);
    if (dcc_tensors_overlap(&operator.output, tensor)) return 1;
    if (operator.kind == DCC_CONV) {
        const dcc_conv conv = dcc_read_conv(record);
        return dcc_overlap(conv.scratch_at, conv.scratch_bytes, tensor->at, dcc_tensor_bytes(tensor));
    }
    return 0;
}

/* Whether the tensor holds its value when `operator_index` operators have run: written, and not overwritten since. */
static int is_defined(const dcc_model *model, uint32_t index, uint32_t operator_index) {
    const dcc_tensor tensor = dcc_read_tensor(model->artifact, index);
    const uint8_t *record = model->artifact + model->operators_at;
    int defined = dcc_u16(model->artifact + 24) == index;
    uint32_t i;
    for (i = 0u; i < operator_index; i++) {
        if (dcc_u16(record + 6) == index) {
            defined = 1;
        } else if (overwrites(model->artifact, record, &tensor)) {
            defined = 0;
        }
        record += dcc_record_bytes(record[0]);
    }
    return defined;
}

static dcc_status check_dataflow(const dcc_model *model) {
    const uint8_t *record = model->artifact + model->operators_at;
    uint32_t i;
    for (i = 0u; i < model->operator_count; i++) {
        if (!is_defined(model, dcc_u16(record + 4), i)) return DCC_ERROR_ARENA_RANGE;
        if (dcc_is_pair(record[0]) && !is_defined(model, dcc_u16(record + 8), i)) return DCC_ERROR_ARENA_RANGE;
        record += dcc_record_bytes(record[0]);
    }
    return is_defined(model, dcc_u16(model->artifact + 26), i) ? DCC_OK : DCC_ERROR_ARENA_RANGE;
}

static void describe(dcc_model *model) {
    const dcc_tensor input = dcc_read_tensor(model->artifact, dcc_u16(model->artifact + 24));
    const dcc_tensor output = dcc_read_tensor(model->artifact, dcc_u16(model->artifact + 26));
    model->input_at = input.at;
    model->input_bytes = dcc_tensor_bytes(&input);
    model->output_at = output.at;
    model->output_bytes = dcc_tensor_bytes(&output);
}

dcc_status dcc_model_load(dcc_model *model, const void *artifact, size_t artifact_bytes) {
    const uint8_t *bytes = artifact;
    uint32_t tensor_count;
    dcc_status status;
    if ((uintptr_t)artifact % DCC_ALIGNMENT != 0u) return DCC_ERROR_ALIGNMENT;
    status = check_header(bytes, artifact_bytes);
    if (status != DCC_OK) return status;
    model->artifact = bytes;
    model->artifact_bytes = dcc_u32(bytes + 8);
    model->arena_bytes = dcc_u32(bytes + 16);
    tensor_count = dcc_u16(bytes + 20);
    model->operator_count = dcc_u16(bytes + 22);
    model->operators_at = DCC_HEADER_BYTES + tensor_count * DCC_TENSOR_BYTES;
    if (model->arena_bytes > DCC_MAX_BYTES) return DCC_ERROR_ARENA_RANGE;
    if (tensor_count == 0u || tensor_count > DCC_MAX_TENSORS || model->operator_count == 0u ||
        model->operator_count > DCC_MAX_OPERATORS || model->operators_at > model->artifact_bytes) {
        return DCC_ERROR_DATA_RANGE;
    }
    if (dcc_u16(bytes + 24) >= tensor_count || dcc_u16(bytes + 26) >= tensor_count) return DCC_ERROR_SHAPE;
    status = check_tensors(bytes, tensor_count, model->arena_bytes);
    if (status == DCC_OK) status = check_operators(model, tensor_count);
    if (status == DCC_OK) status = check_dataflow(model);
    if (status == DCC_OK) describe(model);
    return status;
}
