/* The model $name, artifact $sha256.
 *
 * Input: int8, $input_shape (height x width x channels), real = (value - $input_zero_point) * $input_scale.
 * Output: int8, $output_shape, real = (value - $output_zero_point) * $output_scale.
 */
#ifndef ${NAME}_H
#define ${NAME}_H

#include "dcc_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ${NAME}_ARTIFACT_BYTES ${artifact_bytes}u
#define ${NAME}_ARENA_BYTES ${arena_bytes}u
#define ${NAME}_INPUT_BYTES ${input_bytes}u
#define ${NAME}_OUTPUT_BYTES ${output_bytes}u

extern const uint8_t *const ${name}_artifact; /* aligned as the runtime wants it */
extern const dcc_operators ${name}_operators; /* what the model needs, and nothing else */

/* Checks the model once; DCC_OK unless its bytes are damaged. */
static inline dcc_status ${name}_load(dcc_model *model) {
    return dcc_model_load(model, &${name}_operators, ${name}_artifact, ${NAME}_ARTIFACT_BYTES);
}

#ifdef __cplusplus
}
#endif

#endif
