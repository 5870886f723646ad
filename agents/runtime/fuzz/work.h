/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FUZZ_WORK_H
#define FUZZ_WORK_H

#include "dcc_runtime.h"

/* How many operands one run of a loaded model reads, within a small factor. */
uint64_t fuzz_work(const dcc_model *model);

#endif
