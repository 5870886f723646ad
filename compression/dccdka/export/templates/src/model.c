#include "$name.h"

#include "runtime/operators.h"

/* The union gives the bytes the alignment of a word; C99 has no other way. */
static const union {
    uint8_t bytes[${NAME}_ARTIFACT_BYTES];
    uint32_t alignment;
} artifact = {{
$artifact}};

const uint8_t *const ${name}_artifact = artifact.bytes;

$operators