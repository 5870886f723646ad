/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads the records of tensors and operators.
 */
#ifndef DCC_RECORD_H
#define DCC_RECORD_H

#include "operators.h"

/* From an offset to the artifact's end. */
dcc_cursor dcc_cursor_at(const dcc_model *model, uint32_t at);

/* The tensor there. Its sizes may be anything; at is the record's number, to be multiplied by 4. */
dcc_tensor dcc_read_tensor(dcc_cursor *cursor);

/* Everything in the record but the tensors, and moves on to the next. What the model's operators lack, or a bit that has
 * no meaning, is DCC_ERROR_OPERATOR; what does not lie inside the artifact is DCC_ERROR_DATA_RANGE. */
dcc_status dcc_read_operator(dcc_operator *operator, const dcc_model *model, dcc_cursor *cursor);

/* Looks its tensors up; the loader has checked the indices. */
void dcc_find_tensors(dcc_operator *operator, const dcc_model *model);

/* Whether it reads a second tensor. */
int dcc_reads_second(const dcc_operator *operator, const dcc_model *model);

/* The tensor of an index that is one. */
dcc_tensor dcc_find_tensor(const dcc_model *model, uint32_t index);

/* Parts of records that several kinds have. What is out of range is left for the check to find. */
void dcc_read_window(dcc_window *window, dcc_cursor *cursor, uint32_t bits);
void dcc_read_scaling(dcc_scaling *scaling, dcc_cursor *cursor);

#define DCC_POOL_WINDOW 0x77u /* bits of what a window may have */
#define DCC_CONV_WINDOW 0xffu

#endif
