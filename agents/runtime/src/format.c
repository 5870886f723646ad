/* SPDX-License-Identifier: Apache-2.0
 *
 * Readers of the artifact's tables.
 */
#include "format.h"

uint32_t dcc_record_bytes(uint32_t kind) {
    switch (kind) {
    case DCC_CONV: return 36u;
    case DCC_ADD:
    case DCC_CONCATENATE:
    case DCC_AVERAGE_POOL: return 20u;
    case DCC_MULTIPLY:
    case DCC_MAX_POOL: return 16u;
    case DCC_PAD:
    case DCC_LOOKUP:
    case DCC_SOFTMAX: return 12u;
    case DCC_RELU:
    case DCC_ARGMAX: return 8u;
    default: return 0u;
    }
}

dcc_tensor dcc_read_tensor(const uint8_t *artifact, uint32_t index) {
    const uint8_t *record = artifact + DCC_HEADER_BYTES + index * DCC_TENSOR_BYTES;
    dcc_tensor tensor;
    tensor.at = dcc_u32(record);
    tensor.height = dcc_u16(record + 4);
    tensor.width = dcc_u16(record + 6);
    tensor.channels = dcc_u16(record + 8);
    tensor.zero_point = (int8_t)record[10];
    return tensor;
}

dcc_operator dcc_read_operator(const uint8_t *artifact, const uint8_t *record) {
    dcc_operator operator;
    operator.kind = record[0];
    operator.low = (int8_t)record[1];
    operator.high = (int8_t)record[2];
    operator.input = dcc_read_tensor(artifact, dcc_u16(record + 4));
    operator.output = dcc_read_tensor(artifact, dcc_u16(record + 6));
    if (operator.kind == DCC_CONV && record[3] == 1u) { /* flattened */
        operator.input.channels = dcc_tensor_bytes(&operator.input);
        operator.input.height = 1u;
        operator.input.width = 1u;
    }
    return operator;
}

static dcc_window read_window(const uint8_t *record) {
    dcc_window window;
    window.y.kernel = record[8];
    window.x.kernel = record[9];
    window.y.stride = record[10];
    window.x.stride = record[11];
    window.y.padding = record[12];
    window.x.padding = record[13];
    window.y.dilation = 1;
    window.x.dilation = 1;
    return window;
}

dcc_conv dcc_read_conv(const uint8_t *record) {
    dcc_conv conv;
    conv.window = read_window(record);
    conv.window.y.dilation = record[14];
    conv.window.x.dilation = record[15];
    conv.groups = dcc_u16(record + 16);
    conv.bits = record[18] & 15u;
    conv.code_bits = ((record[18] >> 4) & 7u) + 1u;
    conv.encoding = record[18] >> 7;
    conv.weight_zero_point = record[19];
    conv.data_at = dcc_u32(record + 20);
    conv.data_bytes = dcc_u32(record + 24);
    conv.scratch_at = dcc_u32(record + 28);
    conv.scratch_bytes = dcc_u32(record + 32);
    return conv;
}

dcc_pair dcc_read_pair(const uint8_t *artifact, const uint8_t *record) {
    dcc_pair pair;
    pair.second = dcc_read_tensor(artifact, dcc_u16(record + 8));
    pair.shift = record[10];
    pair.multiplier = dcc_i32(record + 12);
    pair.second_multiplier = record[0] == DCC_MULTIPLY ? 0 : dcc_i32(record + 16);
    return pair;
}

dcc_pool dcc_read_pool(const uint8_t *record) {
    dcc_pool pool;
    pool.window = read_window(record);
    pool.shift = record[0] == DCC_AVERAGE_POOL ? record[14] : 0u;
    pool.multiplier = record[0] == DCC_AVERAGE_POOL ? dcc_i32(record + 16) : 0;
    return pool;
}

dcc_pad dcc_read_pad(const uint8_t *record) {
    dcc_pad pad;
    pad.top = dcc_u16(record + 8);
    pad.left = dcc_u16(record + 10);
    return pad;
}
