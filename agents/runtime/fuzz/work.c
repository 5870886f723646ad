/* SPDX-License-Identifier: Apache-2.0
 *
 * An artifact of some hundred bytes may ask for hours of computation, which is its right but not worth the fuzzer's time.
 */
#include "work.h"

#include "record.h"

static uint64_t window_of(const dcc_operator *operator) {
    uint64_t taps = (uint64_t)operator->window.y.kernel * (uint64_t)operator->window.x.kernel;
    switch (dcc_kind_of(operator)) {
    case DCC_CONVOLUTION: return taps * (operator->input.channels / operator->conv.groups);
    case DCC_AVERAGE_POOL:
    case DCC_MAX_POOL: return taps;
    default: return 1u;
    }
}

uint64_t fuzz_work(const dcc_model *model) {
    dcc_cursor cursor =
        dcc_cursor_between(model->artifact + model->operators_at, model->artifact + model->artifact_bytes);
    uint64_t work = 0u;
    uint32_t i;
    for (i = 0u; i < model->operator_count; i++) {
        dcc_operator operator;
        (void)dcc_read_operator(&operator, model, &cursor);
        dcc_find_tensors(&operator, model);
        work += dcc_tensor_bytes(&operator.input) + dcc_tensor_bytes(&operator.output) * window_of(&operator);
    }
    return work;
}
