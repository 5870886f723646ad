/* Runs $name on a stored input and compares the output, byte by byte, with what the model must give for it. */
#include <stdio.h>
#include <string.h>

#include "$name.h"

static const int8_t sample_input[${NAME}_INPUT_BYTES] = {
$sample_input};

static const int8_t expected_output[${NAME}_OUTPUT_BYTES] = {
$expected_output};

static uint32_t arena[(${NAME}_ARENA_BYTES + 3u) / 4u]; /* of words, so that it is aligned */

int main(void) {
    dcc_model model;
    dcc_status status = ${name}_load(&model);
    if (status == DCC_OK) {
        memcpy(dcc_model_input(&model, arena), sample_input, sizeof sample_input);
        status = dcc_model_run(&model, arena, sizeof arena);
    }
    if (status != DCC_OK) {
        printf("refused with status %d\n", (int)status);
        return 1;
    }
    if (memcmp(dcc_model_output(&model, arena), expected_output, sizeof expected_output) != 0) {
        puts("the output differs from what the model must give");
        return 1;
    }
    puts("ok");
    return 0;
}
