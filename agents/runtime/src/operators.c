/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of everything, for agents that are given any model.
 */
#include "operators.h"

const dcc_operators dcc_all_operators = {
    {NULL, &dcc_kind_convolution, &dcc_kind_add, &dcc_kind_average_pool, &dcc_kind_max_pool, &dcc_kind_relu,
     &dcc_kind_multiply, &dcc_kind_concatenate, &dcc_kind_pad, &dcc_kind_lookup, &dcc_kind_softmax, &dcc_kind_argmax},
    {&dcc_kernel_general, &dcc_kernel_tile, &dcc_kernel_band, &dcc_kernel_depthwise, &dcc_kernel_vector},
    {NULL, &dcc_encoding_indexed, &dcc_encoding_bitmap, &dcc_encoding_coded},
};
