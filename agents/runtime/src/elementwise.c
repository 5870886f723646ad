/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading and checking operators of one tensor.
 */
#include "elementwise.h"

void dcc_read_nothing(dcc_operator *operator, dcc_cursor *cursor) {
    (void)operator;
    (void)cursor;
}

dcc_status dcc_check_elementwise(dcc_operator *operator, const dcc_model *model) {
    (void)model;
    if (!dcc_same_shape(&operator->input, &operator->output)) return DCC_ERROR_SHAPE;
    return dcc_apart_or_in_place(&operator->input, &operator->output) ? DCC_OK : DCC_ERROR_ARENA_RANGE;
}
