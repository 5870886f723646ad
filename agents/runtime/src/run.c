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
        const dcc_add add = dcc_read_add(artifact, record);
        dcc_run_add(&operator, &add, arena);
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
