/* SPDX-License-Identifier: Apache-2.0 */
#include "image.h"

const firmware_image image = {&dcc_all_operators, NULL, 0, "firmware"};
