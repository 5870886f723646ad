/* SPDX-License-Identifier: Apache-2.0
 *
 * Executes a loaded model, one operator after the other.
 */
#include "record.h"

dcc_status dcc_model_run(const dcc_model *model, void *arena, size_t arena_bytes) {
    dcc_cursor cursor = dcc_cursor_at(model, model->operators_at);
    uint32_t i;
    if (arena_bytes < model->arena_bytes) return DCC_ERROR_ARENA_TOO_SMALL;
    if ((uintptr_t)arena % DCC_ALIGNMENT != 0u) return DCC_ERROR_ALIGNMENT;
    for (i = 0u; i < model->operator_count; i++) {
        dcc_operator operator;
        (void)dcc_read_operator(&operator, model, &cursor); /* the loader has checked it */
        dcc_find_tensors(&operator, model);
        model->operators->kinds[dcc_kind_of(&operator)]->run(&operator, model, arena);
    }
    return DCC_OK;
}

int8_t *dcc_model_input(const dcc_model *model, void *arena) { return (int8_t *)arena + model->input_at; }

const int8_t *dcc_model_output(const dcc_model *model, const void *arena) {
    return (const int8_t *)arena + model->output_at;
}
