/* SPDX-License-Identifier: Apache-2.0
 *
 * The artifact, and the inputs back to back: artifact.bin and inputs.bin of the folder that is assembled for.
 */
    .section .model, "a"
    .balign 16
    .global artifact, artifact_end, inputs, inputs_end
artifact:
    .incbin "artifact.bin"
artifact_end:
    .balign 16
inputs:
    .incbin "inputs.bin"
inputs_end:
