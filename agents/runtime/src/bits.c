/* SPDX-License-Identifier: Apache-2.0
 *
 * Bits for where a call is quick enough.
 */
#include "bits.h"

uint32_t dcc_take_bits(dcc_bits *bits, uint32_t count) { return dcc_take_bits_inline(bits, count); }
