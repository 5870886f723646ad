/* SPDX-License-Identifier: Apache-2.0
 *
 * Executes a loaded model, one operator after the other.
 */
#include "kernels.h"

static void run_operator(const uint8_t *artifact, const uint8_t *record, uint8_t *arena) {
    const dcc_operator operator = dcc_read_operator(artifact, record);
    switch (operator.kind) {
    case DCC_CONV: {
        const dcc_conv conv = dcc_read_conv(record);
        dcc_run_conv(&operator, &conv, artifact, arena);
        break;
    }
    case DCC_ADD: {
        const dcc_pair add = dcc_read_pair(artifact, record);
        dcc_run_add(&operator, &add, arena);
        break;
    }
    case DCC_MULTIPLY: {
        const dcc_pair multiply = dcc_read_pair(artifact, record);
        dcc_run_multiply(&operator, &multiply, arena);
        break;
    }
    case DCC_CONCATENATE: {
        const dcc_pair concatenate = dcc_read_pair(artifact, record);
        dcc_run_concatenate(&operator, &concatenate, arena);
        break;
    }
    case DCC_AVERAGE_POOL: {
        const dcc_pool pool = dcc_read_pool(record);
        dcc_run_average_pool(&operator, &pool, arena);
        break;
    }
    case DCC_MAX_POOL: {
        const dcc_pool pool = dcc_read_pool(record);
        dcc_run_max_pool(&operator, &pool, arena);
        break;
    }
    case DCC_PAD: {
        const dcc_pad pad = dcc_read_pad(record);
        dcc_run_pad(&operator, &pad, arena);
        break;
    }
    case DCC_LOOKUP: dcc_run_lookup(&operator, artifact + dcc_table_at(record), arena); break;
    case DCC_SOFTMAX: dcc_run_softmax(&operator, artifact + dcc_table_at(record), arena); break;
    case DCC_ARGMAX: dcc_run_argmax(&operator, arena); break;
    default: /* DCC_RELU: the loader admits no other kind */
        dcc_run_relu(&operator, arena);
        break;
    }
}

dcc_status dcc_model_run(const dcc_model *model, void *arena, size_t arena_bytes) {
    const uint8_t *record = model->artifact + model->operators_at;
    uint32_t i;
    if (arena_bytes < model->arena_bytes) return DCC_ERROR_ARENA_TOO_SMALL;
    if ((uintptr_t)arena % DCC_ALIGNMENT != 0u) return DCC_ERROR_ALIGNMENT;
    for (i = 0u; i < model->operator_count; i++) {
        run_operator(model->artifact, record, arena);
        record += dcc_record_bytes(record[0]);
    }
    return DCC_OK;
}

int8_t *dcc_model_input(const dcc_model *model, void *arena) { return (int8_t *)arena + model->input_at; }

const int8_t *dcc_model_output(const dcc_model *model, const void *arena) {
    return (const int8_t *)arena + model->output_at;
}
