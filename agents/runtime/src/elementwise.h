/* SPDX-License-Identifier: Apache-2.0
 *
 * What operators of one tensor, whose output may lie on it, share.
 */
#ifndef DCC_ELEMENTWISE_H
#define DCC_ELEMENTWISE_H

#include "check.h"

/* For kinds without fields of their own. */
void dcc_read_nothing(dcc_operator *operator, dcc_cursor *cursor);

dcc_status dcc_check_elementwise(dcc_operator *operator, const dcc_model *model);

#endif
